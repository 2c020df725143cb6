//! Reports of GitLab's secret detection
//! (<https://docs.gitlab.com/development/sec/token_revocation_api/>).

use crate::report::Leak;
use lambda_http::Request;
use lambda_http::http::header::AUTHORIZATION;
use latchkey::problem::{FieldError, Problem};
use latchkey::token::TokenHash;
use serde::Deserialize;

/// What GitLab calls our tokens: what its analyzer puts before the name of a rule, and that name.
pub const TYPE: &str = "gitleaks_rule_id_latchkey_token";
/// What a report must be.
pub const FORM: &str = "a JSON array of up to 1000 objects of type, token and location";

/// One token that was found. Fields that later versions add are passed over. No `Debug`: it holds the token.
#[derive(Deserialize)]
pub struct Find {
    token: String,
    #[serde(rename = "type")]
    kind: String,
    location: Option<String>,
}

impl Find {
    /// What matters of it.
    pub fn leak(&self) -> Leak<'_> {
        Leak::new(&self.token, self.location.as_deref())
    }
}

/// Whether GitLab sent this request: `Authorization` is the token that its operator gave it, as it is.
pub fn known(request: &Request, token: Option<&TokenHash>) -> Result<(), Problem> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match (given, token) {
        (Some(given), Some(token)) if token.matches(&TokenHash::of(given.trim())) => Ok(()),
        _ => Err(Problem::unauthorized()),
    }
}

/// A report of other types than ours is refused whole: GitLab has asked for ours before.
pub fn of_our_type(finds: &[Find]) -> Result<(), Problem> {
    let wrong = finds.iter().enumerate().filter(|(_, find)| find.kind != TYPE);
    let errors: Vec<_> = wrong.map(|(i, _)| FieldError::new(format!("[{i}].type"), None, TYPE)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}
