//! The part of CloudFormation's template language that the templates in `infra/` use. Anything else is an error that
//! says what it is and where.

use crate::{ACCOUNT_ID, REGION};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What a template says that is not understood here.
#[derive(Debug, PartialEq, Eq)]
pub struct TemplateError {
    template: &'static str,
    place: String,
    problem: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.template, self.place, self.problem)
    }
}

impl std::error::Error for TemplateError {}

/// A template, read but not evaluated.
#[derive(Debug)]
pub struct Template {
    name: &'static str,
    root: Vec<(String, Node)>,
}

/// A value of a template.
#[derive(Clone, Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Call(Function, Box<Node>, usize),
}

/// The intrinsic functions, in the order of [`Function::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Ref,
    Sub,
    GetAtt,
    If,
    Equals,
    Not,
    Or,
    Select,
    Split,
}

impl Function {
    /// Tag of the short form, key of the long form.
    const NAMES: [(&'static str, &'static str, Function); 9] = [
        ("Ref", "Ref", Function::Ref),
        ("Sub", "Fn::Sub", Function::Sub),
        ("GetAtt", "Fn::GetAtt", Function::GetAtt),
        ("If", "Fn::If", Function::If),
        ("Equals", "Fn::Equals", Function::Equals),
        ("Not", "Fn::Not", Function::Not),
        ("Or", "Fn::Or", Function::Or),
        ("Select", "Fn::Select", Function::Select),
        ("Split", "Fn::Split", Function::Split),
    ];

    fn by_tag(tag: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(short, _, _)| *short == tag).map(|(_, _, function)| *function)
    }

    fn by_key(key: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, long, _)| *long == key).map(|(_, _, function)| *function)
    }
}

/// The sections of a template. `Description` and the like change nothing.
const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
];

impl Template {
    /// Reads a template; `name` is what errors call it.
    pub fn parse(name: &'static str, text: &str) -> Result<Self, TemplateError> {
        let error = |place: String, problem: String| TemplateError { template: name, place, problem };
        let documents = MarkedYaml::load_from_str(text)
            .map_err(|e| error(format!("line {}", e.marker().line()), e.info().to_string()))?;
        let [document] = documents.as_slice() else {
            return Err(error("line 1".into(), "it is not one YAML document".into()));
        };
        let root = match node(document).map_err(|(line, problem)| error(format!("line {line}"), problem))? {
            Node::Map(root) => root,
            _ => return Err(error("line 1".into(), "it is not a mapping".into())),
        };
        for (section, _) in &root {
            if !SECTIONS.contains(&section.as_str()) {
                return Err(error(section.clone(), "this section is not supported".into()));
            }
        }
        Ok(Self { name, root })
    }

    fn section(&self, name: &str) -> &[(String, Node)] {
        match get(&self.root, name) {
            Some(Node::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// Gives the template its parameters. Those it does not declare are left alone; one that is missing is an error.
    pub fn evaluate(&self, given: &BTreeMap<String, String>) -> Result<Evaluated<'_>, TemplateError> {
        let mut evaluated = Evaluated { template: self, parameters: BTreeMap::new(), references: BTreeMap::new() };
        for (name, declaration) in self.section("Parameters") {
            let default = match declaration {
                Node::Map(fields) => match get(fields, "Default") {
                    Some(Node::Scalar(value)) => Some(text(value)),
                    _ => None,
                },
                _ => None,
            };
            let place = || format!("Parameters.{name}");
            let value = given.get(name).cloned().or(default).ok_or_else(|| {
                evaluated.error(place(), "it has no default, and nothing is known for it on one machine")
            })?;
            evaluated.parameters.insert(name.clone(), value);
        }
        Ok(evaluated)
    }
}

/// A template with its parameters.
#[derive(Debug)]
pub struct Evaluated<'a> {
    template: &'a Template,
    parameters: BTreeMap<String, String>,
    references: BTreeMap<String, String>,
}

/// A resource that exists, its properties not yet evaluated.
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    /// Its name in the template.
    pub id: &'a str,
    /// Its type.
    pub kind: String,
    fields: &'a [(String, Node)],
}

/// The fields of a resource beside its properties. None but `Condition` changes anything here.
const RESOURCE_FIELDS: [&str; 7] =
    ["Type", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "Properties"];

impl<'a> Evaluated<'a> {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Says what `Ref` or `Sub` of a resource, or one of its attributes (`Name.Attribute`), stands for.
    pub fn define(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.references.insert(name.into(), value.into());
    }

    /// The resources whose conditions hold.
    pub fn resources(&self) -> Result<Vec<Resource<'a>>, TemplateError> {
        let mut resources = vec![];
        for (id, node) in self.template.section("Resources") {
            let place = format!("Resources.{id}");
            let Node::Map(fields) = node else { return Err(self.error(place, "it is not a mapping")) };
            if let Some((unknown, _)) = fields.iter().find(|(name, _)| !RESOURCE_FIELDS.contains(&name.as_str())) {
                return Err(self.error(format!("{place}.{unknown}"), "this is not supported"));
            }
            let Some(Node::Scalar(Value::String(kind))) = get(fields, "Type") else {
                return Err(self.error(place, "it has no Type"));
            };
            let exists = match get(fields, "Condition") {
                None => true,
                Some(Node::Scalar(Value::String(condition))) => self.condition(condition, &place)?,
                Some(_) => return Err(self.error(place, "its Condition is not a name")),
            };
            if exists {
                resources.push(Resource { id, kind: kind.clone(), fields });
            }
        }
        Ok(resources)
    }

    /// The properties of a resource as `T`, which should deny unknown fields; those in `without_effect` are left out
    /// before, and what `Globals` says of this kind of resource is put under them.
    pub fn properties<T: DeserializeOwned>(
        &self,
        resource: &Resource<'_>,
        globals: Option<&str>,
        without_effect: &[&str],
    ) -> Result<T, TemplateError> {
        let place = format!("Resources.{}.Properties", resource.id);
        let mut properties = self.section_of(get(resource.fields, "Properties"), &place, without_effect)?;
        let globals_of = globals.and_then(|name| Some((name, get(self.template.section("Globals"), name)?)));
        if let Some((name, node)) = globals_of {
            let defaults = self.section_of(Some(node), &format!("Globals.{name}"), without_effect)?;
            properties = merged(defaults, properties);
        }
        self.typed(properties, &place)
    }

    /// What a resource's `Metadata` holds.
    pub fn metadata(&self, resource: &Resource<'_>) -> Result<Value, TemplateError> {
        let place = format!("Resources.{}.Metadata", resource.id);
        self.section_of(get(resource.fields, "Metadata"), &place, &[])
    }

    /// The kinds of resources that `Globals` speaks of.
    pub fn globals(&self) -> impl Iterator<Item = &'a str> {
        self.template.section("Globals").iter().map(|(name, _)| name.as_str())
    }

    fn section_of(&self, node: Option<&Node>, place: &str, left_out: &[&str]) -> Result<Value, TemplateError> {
        let Some(node) = node else { return Ok(Value::Object(Map::new())) };
        let Node::Map(fields) = node else { return Err(self.error(place, "it is not a mapping")) };
        let kept = fields.iter().filter(|(name, _)| !left_out.contains(&name.as_str())).cloned().collect();
        Ok(self.value(&Node::Map(kept), place)?.unwrap_or_default())
    }

    /// The value of an output.
    pub fn output(&self, name: &str) -> Result<String, TemplateError> {
        let place = format!("Outputs.{name}.Value");
        let output = get(self.template.section("Outputs"), name);
        let Some(Node::Map(fields)) = output else { return Err(self.error(place, "there is no such output")) };
        let value = get(fields, "Value").map(|node| self.value(node, &place)).transpose()?.flatten();
        value.map(|value| text(&value)).ok_or_else(|| self.error(place, "it has no value"))
    }

    /// An error in this template.
    pub fn error(&self, place: impl Into<String>, problem: impl Into<String>) -> TemplateError {
        TemplateError { template: self.template.name, place: place.into(), problem: problem.into() }
    }

    /// Reads an evaluated value as `T`.
    pub fn typed<T: DeserializeOwned>(&self, value: Value, place: &str) -> Result<T, TemplateError> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let inner = error.path().to_string();
            let place = if inner == "." { place.to_string() } else { format!("{place}.{inner}") };
            self.error(place, error.inner().to_string())
        })
    }

    fn condition(&self, name: &str, place: &str) -> Result<bool, TemplateError> {
        let Some(node) = get(self.template.section("Conditions"), name) else {
            return Err(self.error(place, format!("there is no condition {name}")));
        };
        self.truth(node, &format!("Conditions.{name}"))
    }

    fn truth(&self, node: &Node, place: &str) -> Result<bool, TemplateError> {
        match self.value(node, place)? {
            Some(Value::Bool(truth)) => Ok(truth),
            _ => Err(self.error(place, "it is not a condition")),
        }
    }

    /// Evaluates a value; `None` is `AWS::NoValue`.
    fn value(&self, node: &Node, place: &str) -> Result<Option<Value>, TemplateError> {
        Ok(Some(match node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => {
                let mut list = vec![];
                for (i, item) in items.iter().enumerate() {
                    list.extend(self.value(item, &format!("{place}[{i}]"))?);
                }
                Value::Array(list)
            }
            Node::Map(entries) => {
                let mut map = Map::new();
                for (name, node) in entries {
                    if let Some(value) = self.value(node, &format!("{place}.{name}"))? {
                        map.insert(name.clone(), value);
                    }
                }
                Value::Object(map)
            }
            Node::Call(function, argument, line) => {
                let place = format!("{place} (line {line})");
                return self.call(*function, argument, &place);
            }
        }))
    }

    fn call(&self, function: Function, argument: &Node, place: &str) -> Result<Option<Value>, TemplateError> {
        let wrong = || self.error(place, format!("{function:?} has arguments that are not supported"));
        Ok(Some(match (function, argument) {
            (Function::Ref, Node::Scalar(Value::String(name))) if name == "AWS::NoValue" => return Ok(None),
            (Function::Ref, Node::Scalar(Value::String(name))) => Value::String(self.reference(name, place)?),
            (Function::GetAtt, Node::Scalar(Value::String(name))) => Value::String(self.reference(name, place)?),
            (Function::GetAtt, Node::List(parts)) => match parts.as_slice() {
                [Node::Scalar(Value::String(name)), Node::Scalar(Value::String(attribute))] => {
                    Value::String(self.reference(&format!("{name}.{attribute}"), place)?)
                }
                _ => return Err(wrong()),
            },
            (Function::Sub, Node::Scalar(Value::String(text))) => {
                Value::String(self.substitute(text, &BTreeMap::new(), place)?)
            }
            (Function::Sub, Node::List(parts)) => match parts.as_slice() {
                [Node::Scalar(Value::String(text)), Node::Map(names)] => {
                    let mut own = BTreeMap::new();
                    for (name, node) in names {
                        let value = self.value(node, &format!("{place}.{name}"))?.ok_or_else(wrong)?;
                        own.insert(name.as_str(), self::text(&value));
                    }
                    Value::String(self.substitute(text, &own, place)?)
                }
                _ => return Err(wrong()),
            },
            (Function::If, Node::List(parts)) => match parts.as_slice() {
                [Node::Scalar(Value::String(condition)), yes, no] => {
                    let chosen = if self.condition(condition, place)? { yes } else { no };
                    return self.value(chosen, place);
                }
                _ => return Err(wrong()),
            },
            (Function::Equals, Node::List(parts)) => match parts.as_slice() {
                [a, b] => {
                    let side = |node| Ok(self.value(node, place)?.map(|value| text(&value)));
                    Value::Bool(side(a)? == side(b)?)
                }
                _ => return Err(wrong()),
            },
            (Function::Not, Node::List(parts)) => match parts.as_slice() {
                [condition] => Value::Bool(!self.truth(condition, place)?),
                _ => return Err(wrong()),
            },
            (Function::Or, Node::List(parts)) => {
                let truths: Result<Vec<bool>, _> = parts.iter().map(|part| self.truth(part, place)).collect();
                Value::Bool(truths?.contains(&true))
            }
            (Function::Select, Node::List(parts)) => match parts.as_slice() {
                [Node::Scalar(index), list] => {
                    let list = self.value(list, place)?.unwrap_or_default();
                    let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                    index.and_then(|index| list.get(index)).cloned().ok_or_else(wrong)?
                }
                _ => return Err(wrong()),
            },
            (Function::Split, Node::List(parts)) => match parts.as_slice() {
                [Node::Scalar(Value::String(delimiter)), joined] => match self.value(joined, place)? {
                    Some(Value::String(joined)) => joined.split(delimiter.as_str()).collect(),
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        }))
    }

    fn reference(&self, name: &str, place: &str) -> Result<String, TemplateError> {
        let pseudo = match name {
            "AWS::AccountId" => Some(ACCOUNT_ID),
            "AWS::Partition" => Some("aws"),
            "AWS::Region" => Some(REGION),
            "AWS::StackName" => Some("latchkey"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        let known = pseudo.or_else(|| self.parameter(name)).or_else(|| self.references.get(name).map(String::as_str));
        known.map(str::to_string).ok_or_else(|| self.error(place, format!("{name} stands for nothing on one machine")))
    }

    /// `${Name}` is one of the call's own names or a reference, `${!Name}` the text `${Name}`.
    fn substitute(&self, text: &str, own: &BTreeMap<&str, String>, place: &str) -> Result<String, TemplateError> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            whole.push_str(before);
            let Some((name, after)) = behind.split_once('}') else {
                return Err(self.error(place, "a ${ is not closed"));
            };
            match name.strip_prefix('!') {
                Some(literal) => whole.push_str(&format!("${{{literal}}}")),
                None => match own.get(name.trim()) {
                    Some(value) => whole.push_str(value),
                    None => whole.push_str(&self.reference(name.trim(), place)?),
                },
            }
            rest = after;
        }
        whole.push_str(rest);
        Ok(whole)
    }
}

/// SAM's rule for `Globals`: mappings are merged, lists joined, and for the rest the resource's own value counts.
fn merged(global: Value, own: Value) -> Value {
    match (global, own) {
        (Value::Object(mut global), Value::Object(own)) => {
            for (name, value) in own {
                let value = match global.remove(&name) {
                    Some(default) => merged(default, value),
                    None => value,
                };
                global.insert(name, value);
            }
            Value::Object(global)
        }
        (Value::Array(mut global), Value::Array(own)) => {
            global.extend(own);
            Value::Array(global)
        }
        (_, own) => own,
    }
}

/// A scalar as CloudFormation passes it on: everything is text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn get<'a>(entries: &'a [(String, Node)], name: &str) -> Option<&'a Node> {
    entries.iter().find(|(entry, _)| entry == name).map(|(_, node)| node)
}

/// From YAML; an error is a line and what is wrong there.
fn node(yaml: &MarkedYaml<'_>) -> Result<Node, (usize, String)> {
    let line = yaml.span.start.line();
    Ok(match &yaml.data {
        YamlData::Value(scalar) => Node::Scalar(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(truth) => Value::Bool(*truth),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
            Scalar::String(text) => Value::String(text.to_string()),
        }),
        YamlData::Sequence(items) => Node::List(items.iter().map(node).collect::<Result<_, _>>()?),
        YamlData::Mapping(entries) => {
            let mut map: Vec<(String, Node)> = vec![];
            for (key, value) in entries {
                let Node::Scalar(key) = node(key)? else { return Err((line, "a key is not a scalar".into())) };
                map.push((text(&key), node(value)?));
            }
            match map.as_slice() {
                [(key, argument)] if Function::by_key(key).is_some() => {
                    let function = Function::by_key(key).unwrap_or(Function::Ref);
                    Node::Call(function, Box::new(argument.clone()), line)
                }
                entries => match entries.iter().find(|(key, _)| key.starts_with("Fn::")) {
                    Some((key, _)) => return Err((line, format!("the function {key} is not supported"))),
                    None => Node::Map(map),
                },
            }
        }
        YamlData::Tagged(tag, inner) => match Function::by_tag(&tag.suffix).filter(|_| tag.handle == "!") {
            Some(function) => Node::Call(function, Box::new(node(inner)?), line),
            None => return Err((line, format!("the function {}{} is not supported", tag.handle, tag.suffix))),
        },
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            return Err((line, "this YAML is not supported".into()));
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse("t.yaml", text).map_err(|error| error.to_string())
    }

    /// The properties of the one resource, with these parameters.
    fn properties(text: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let template = parse(text)?;
        let given = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut evaluated = template.evaluate(&given).map_err(|error| error.to_string())?;
        evaluated.define("Table.Arn", "arn:table");
        let resources = evaluated.resources().map_err(|error| error.to_string())?;
        let Some(resource) = resources.first() else { return Ok(Value::Null) };
        evaluated.properties(resource, Some("Function"), &["CodeUri"]).map_err(|error| error.to_string())
    }

    const INTRINSICS: &str = r#"
Parameters:
  Url: {Type: String, Default: ""}
  Days: {Type: Number, Default: 90}
Conditions:
  HasUrl: !Or [!Equals [!Ref Days, 1], !Not [!Equals [!Ref Url, ""]]]
Resources:
  R:
    Type: T
    Condition: HasUrl
    Properties:
      CodeUri: !GetAtt Nothing.Known
      Url: !Ref Url
      Days: !Ref Days
      Sub: !Sub "${Url}/${!proxy}/{proxy} in ${AWS::Region}"
      Long: {"Fn::Sub": "${Table.Arn}/x"}
      Att: !GetAtt Table.Arn
      Split: !Split ["-", !Sub "a-${Days}-b"]
      Select: !Select [1, !Split ["-", "a-b"]]
      If: !If [HasUrl, yes-it-has, [1, 2]]
      Gone: !If [HasUrl, !Ref AWS::NoValue, x]
      Version: 2012-10-17
"#;

    #[test]
    fn intrinsic_functions_are_evaluated() {
        assert_eq!(
            properties(INTRINSICS, &[("Url", "http://a"), ("Unknown", "x")]).unwrap(),
            json!({
                "Url": "http://a", "Days": "90", "Sub": "http://a/${proxy}/{proxy} in us-east-1",
                "Long": "arn:table/x", "Att": "arn:table", "Split": ["a", "90", "b"], "Select": "b", "If": "yes-it-has",
                "Version": "2012-10-17",
            })
        );
    }

    #[test]
    fn a_resource_whose_condition_fails_is_not_there() {
        assert_eq!(properties(INTRINSICS, &[]).unwrap(), Value::Null);
    }

    #[test]
    fn globals_are_put_under_the_properties() {
        let text = "
Globals: {Function: {Timeout: 3, Environment: {A: 1, B: 2}, Layers: [x]}}
Resources: {R: {Type: T, Properties: {Environment: {B: 3}, Layers: [y]}}}
";
        assert_eq!(
            properties(text, &[]).unwrap(),
            json!({"Timeout": 3, "Environment": {"A": 1, "B": 3}, "Layers": ["x", "y"]})
        );
    }

    #[test]
    fn what_is_not_known_is_named_with_its_place() {
        let resource =
            |properties: &str| format!("Resources:\n  R:\n    Type: T\n    Properties:\n      {properties}\n");
        for (text, error) in [
            (resource("A: !Join [0, [a]]"), "t.yaml, line 5: the function !Join is not supported"),
            (resource("A: {\"Fn::Base64\": a}"), "t.yaml, line 5: the function Fn::Base64 is not supported"),
            (resource("A: !Ref B"), "t.yaml, Resources.R.Properties.A (line 5): B stands for nothing on one machine"),
            (resource("A: !Sub \"${B\""), "t.yaml, Resources.R.Properties.A (line 5): a ${ is not closed"),
            (
                resource("A: !Split [a]"),
                "t.yaml, Resources.R.Properties.A (line 5): Split has arguments that are not supported",
            ),
            (
                resource("A: !Select [1, [a]]"),
                "t.yaml, Resources.R.Properties.A (line 5): Select has arguments that are not supported",
            ),
            (resource("A: !If [C, 1, 2]"), "t.yaml, Resources.R.Properties.A (line 5): there is no condition C"),
            ("Mappings: {}".into(), "t.yaml, Mappings: this section is not supported"),
            (
                "Resources: {R: {Type: T, CreationPolicy: {}}}".into(),
                "t.yaml, Resources.R.CreationPolicy: this is not supported",
            ),
            (
                "Parameters: {P: {Type: String}}".into(),
                "t.yaml, Parameters.P: it has no default, and nothing is known for it on one machine",
            ),
        ] {
            assert_eq!(properties(&text, &[]).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn an_unknown_property_is_named_with_its_place() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Known {
            #[serde(rename = "Known")]
            _known: BTreeMap<String, bool>,
        }
        let template = parse("Resources: {R: {Type: T, Properties: {Known: {A: 1}}}}").unwrap();
        let evaluated = template.evaluate(&BTreeMap::new()).unwrap();
        let resources = evaluated.resources().unwrap();
        let error = evaluated.properties::<Known>(resources.first().unwrap(), None, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.yaml, Resources.R.Properties.Known.A: invalid type: integer `1`, expected a boolean"
        );
    }
}
