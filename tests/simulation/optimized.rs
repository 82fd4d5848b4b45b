//! The simulation and the protocol in a package of their own, beside the library: it is built with optimization (four times
//! the histories in the same time, without a second build of all dependencies), and its protocol may be a broken copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::city::Kind;
use crate::mutations::Breakage;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The protocol's own folder.
const PROTOCOL: &str = "src/journal/log";
const MODULES: [&str; 11] =
    ["city", "dice", "host", "invariants", "log", "loss", "mutations", "reading", "search", "toy", "trouble"];

/// Builds the package, with this breakage in its protocol or with none. Tells where the program is.
pub fn build(breakage: Option<&Breakage>) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let package = target.join("simulation");
    write(&package.join("Cargo.toml"), &manifest());
    write(&package.join("Cargo.lock"), &fs::read_to_string(root().join("Cargo.lock")).unwrap());
    write(&package.join("src/main.rs"), &main());
    for file in fs::read_dir(root().join(PROTOCOL)).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut source = fs::read_to_string(&file).unwrap();
        if let Some(breakage) = breakage.filter(|breakage| breakage.file == name) {
            source = source.replacen(&breakage.original, &breakage.broken, 1);
        }
        write(&package.join("src/journal/log").join(name), &source);
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet"]).current_dir(&package).env("CARGO_TARGET_DIR", &target);
    let output = cargo.output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(target.join("debug/muster-simulation"))
    } else {
        Err(format!("it does not build:\n{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Runs the program; what it says, and whether it found something.
pub fn run(program: &Path, kind: Kind, first: u64, histories: u64) -> (bool, String) {
    let mut command = Command::new(program);
    command.args([kind.to_string(), first.to_string(), histories.to_string()]).stderr(Stdio::null());
    let output = command.output().unwrap();
    (!output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn manifest() -> String {
    format!(
        r#"[package]
name = "muster-simulation"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
muster = {{ path = "{}" }}
serde = {{ version = "1", features = ["derive", "rc"] }}
serde_json = {{ version = "1", features = ["raw_value"] }}
smol_str = {{ version = "0.3", features = ["serde"] }}
thiserror = "2"

[profile.dev]
debug = "line-tables-only"

[profile.dev.package.muster-simulation]
opt-level = 2
"#,
        root().display()
    )
}

fn main() -> String {
    let modules = MODULES.map(|module| {
        format!(
            "#[path = \"{}\"]\nmod {module};\n",
            root().join("tests/simulation").join(module).with_extension("rs").display()
        )
    });
    format!(
        r#"#![allow(dead_code)]
mod engine {{
    pub use muster::engine::*;
}}
mod journal {{
    pub use muster::journal::*;
    pub mod log;
}}
mod model {{
    pub use muster::model::*;
}}
{}
fn main() {{
    let said: Vec<String> = std::env::args().collect();
    let kind = said[1].parse().unwrap();
    let (first, histories): (u64, u64) = (said[2].parse().unwrap(), said[3].parse().unwrap());
    match search::search(kind, first..first + histories, None) {{
        Ok(seen) => println!("{{seen}}"),
        Err(finding) => {{
            println!("after {{}} histories: {{}}", finding.after, search::again(kind, &finding));
            std::process::exit(1);
        }}
    }}
}}
"#,
        modules.concat()
    )
}

/// Writes only what differs, so that builds stay short.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}
