//! Builds and installs what is measured.

use crate::Error;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where everything lies.
pub struct Built {
    /// The functions' bootstraps, by name.
    pub functions: Vec<(String, PathBuf)>,
    /// The bare functions' folder.
    pub release: PathBuf,
    /// The untuned authorizer.
    pub untuned: PathBuf,
    /// `None`: left out.
    pub node: Option<Node>,
    /// `None`: left out.
    pub python: Option<Python>,
}

/// The authorizer for Node.js.
pub struct Node {
    /// The bundle's folder.
    pub task: PathBuf,
    /// Lambda's runtime interface client.
    pub client: PathBuf,
}

/// The authorizer for Python.
pub struct Python {
    /// The module's folder.
    pub task: PathBuf,
    /// The interpreter of the environment that has boto3.
    pub interpreter: PathBuf,
}

/// A function's size in bytes.
pub struct Size {
    /// Its name.
    pub function: String,
    /// Of the executable.
    pub bootstrap: u64,
    /// Of the archive that is uploaded.
    pub zip: u64,
}

/// Builds everything that is not there, leaving out what `without` names.
pub fn all(bootstraps: Option<&Path>, without: &[String]) -> Result<Built, Error> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let (rivals, target) = (workspace.join("infra/bench/rivals"), workspace.join("target"));
    let ours = target.join("bench");
    std::fs::create_dir_all(&ours)?;

    let functions = folders(&workspace.join("functions"))?;
    let needed = if bootstraps.is_some() { &[] } else { &functions[..] };
    let packages = needed.iter().map(String::as_str).chain(["bare"]).flat_map(|package| ["-p", package]);
    cargo(&workspace, ["build", "--release", "--locked"].into_iter().chain(packages))?;
    let untuned = ours.join("untuned");
    let folder = untuned.to_str().ok_or("the path of target/ is not UTF-8")?;
    // Its lock file follows that of the workspace whose packages it uses.
    cargo(&rivals.join("untuned"), ["build", "--release", "--target-dir", folder])?;

    // Whole, since each contender runs in a folder of its own.
    let bootstraps = bootstraps.map(Path::canonicalize).transpose()?;
    let release = target.join("release");
    let bootstrap = |function: String| {
        let of_cargo = || release.join(&function);
        let path = bootstraps.as_ref().map_or_else(of_cargo, |folder| folder.join(&function).join("bootstrap"));
        (function, path)
    };
    let wanted = |name: &str| !without.iter().any(|without| without == name);
    Ok(Built {
        functions: functions.into_iter().map(bootstrap).collect(),
        untuned: untuned.join("release/untuned"),
        node: wanted("node").then(|| node(&rivals.join("node"), &ours.join("node"))).transpose()?,
        python: wanted("python").then(|| python(&rivals.join("python"), &ours.join("python"))).transpose()?,
        release,
    })
}

/// What a folder's folders are called, in order.
fn folders(folder: &Path) -> Result<Vec<String>, Error> {
    let names = std::fs::read_dir(folder)?.map(|entry| {
        entry?.file_name().into_string().map_err(|name| Error::from(format!("{} is not UTF-8", name.display())))
    });
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

fn cargo<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    run(Command::new(env!("CARGO")).args(arguments).current_dir(folder))
}

fn node(source: &Path, installed: &Path) -> Result<Node, Error> {
    std::fs::create_dir_all(installed)?;
    std::fs::copy(source.join("package.json"), installed.join("package.json"))?;
    std::fs::copy(source.join("authorize.mjs"), installed.join("authorize.mjs"))?;
    let npm = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
    run(Command::new("npm").args(npm).current_dir(installed)).map_err(|error| {
        format!(
            "{error}\nLambda's runtime interface client for Node.js is built from C++: it takes Node.js, npm, cmake, \
             autoconf, automake, libtool, make and g++. `--without node` leaves it out."
        )
    })?;
    // One file, as AWS's own tools bundle a function: unbundled, the SDK starts more slowly.
    let bundle = ["authorize.mjs", "--bundle", "--minify", "--platform=node", "--outfile=task/authorize.cjs"];
    run(Command::new("node_modules/.bin/esbuild").args(bundle).arg("--log-level=warning").current_dir(installed))?;
    Ok(Node { task: installed.join("task"), client: installed.join("node_modules/aws-lambda-ric/bin/index.mjs") })
}

fn python(source: &Path, installed: &Path) -> Result<Python, Error> {
    let interpreter = installed.join("bin/python");
    let with_advice = |error| format!("{error}\n`--without python` leaves it out.");
    if !interpreter.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(installed)).map_err(with_advice)?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&interpreter).args(pip).arg(source.join("requirements.txt"))).map_err(with_advice)?;
    // A folder of its own: Python leaves what it compiles beside the source.
    let task = installed.join("task");
    std::fs::create_dir_all(&task)?;
    std::fs::copy(source.join("authorize.py"), task.join("authorize.py"))?;
    Ok(Python { task, interpreter })
}

/// Runs a command to its end; what it says goes to standard error.
fn run(command: &mut Command) -> Result<(), Error> {
    let told = format!("{command:?}");
    let status = command.stdout(Stdio::null()).status().map_err(|error| format!("{told}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{told}: {status}").into()) }
}

/// How large each function is.
pub fn sizes(built: &Built) -> Result<Vec<Size>, Error> {
    let size = |(function, path): &(String, PathBuf)| {
        let bootstrap = std::fs::read(path)?;
        // A zip of one file is its deflated bytes and some 120 more.
        let mut zip = DeflateEncoder::new(Vec::new(), Compression::default());
        zip.write_all(&bootstrap)?;
        let function = function.clone();
        Ok(Size { function, bootstrap: bootstrap.len() as u64, zip: zip.finish()?.len() as u64 + 120 })
    };
    built.functions.iter().map(size).collect()
}
