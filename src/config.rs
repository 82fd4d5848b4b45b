//! The configuration: `config/muster.toml`, with the environment laid over it.
//!
//! This module only assembles: each section's options live with the module they steer, with their defaults and their
//! documentation. What counts, from weakest to strongest: the default in the code, the file, the environment. A key
//! `[section] key` is `MUSTER_SECTION_KEY` in the environment, read as the type its default has (a list is written
//! `a,b`). An unknown key is refused with its line and the nearest known one, in the file as in the environment; a
//! variable whose *section* resembles none of ours (a service link of a container platform, say) is only warned of.
//!
//! Sections and keys have one level, and every key has a default: so the shipped file can show them all, and a test
//! can hold it against the defaults.

mod overlay;
pub mod playbook;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::journal::JournalOptions;
use crate::runtime::RuntimeOptions;
use crate::{access, board, deliver, http, kafka, telemetry};

/// Where the file is looked for when none is named.
pub const FILE: &str = "config/muster.toml";

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The door.
    pub http: http::Options,
    /// Who may do what there.
    pub access: access::Options,
    /// What a city decides.
    pub playbook: PlaybookOptions,
    /// Where accepted steps are kept.
    pub journal: JournalOptions,
    /// The shard.
    pub runtime: RuntimeOptions,
    /// The read model.
    pub board: board::Options,
    /// Delivery to whoever listens.
    pub deliver: deliver::Options,
    /// Delivery to one outside address.
    pub webhook: deliver::webhook::Options,
    /// Many machines.
    pub kafka: kafka::Options,
    /// What is written to standard error.
    pub log: telemetry::Options,
}

/// `[playbook]`: which city.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaybookOptions {
    /// A folder of TOML files.
    pub dir: PathBuf,
    /// A set of marks in force instead of the one the playbook names. Empty: the one it names.
    pub set: String,
}

impl Default for PlaybookOptions {
    fn default() -> Self {
        Self { dir: "config/playbooks/hengyang".into(), set: String::new() }
    }
}

/// Why a configuration is refused, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Something in the file.
    #[error("{path}:{line}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// Something in the environment.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong, and the way out.
        reason: String,
    },
}

/// A configuration and what was odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The file it came from.
    pub file: Option<PathBuf>,
    /// Variables that resemble no key.
    pub ignored: Vec<SmolStr>,
}

impl Config {
    /// Reads `file` (or [`FILE`], where it exists) and lays `environment` over it.
    ///
    /// # Errors
    /// When the file cannot be read, or a key or value of file or environment is wrong.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let file = file.map(Path::to_owned).or_else(|| Some(PathBuf::from(FILE)).filter(|f| f.exists()));
        let (name, text) = match &file {
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|e| ConfigError::Unreadable { path: name.clone(), reason: e.to_string() })?;
                (name, text)
            }
            None => (String::from("(no file)"), String::new()),
        };
        let (config, ignored) = overlay::read(&name, &text, environment)?;
        Ok(Loaded { config, file, ignored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        overlay::read("muster.toml", text, environment).map(|(config, _)| config)
    }

    fn refusal(text: &str, environment: &[(&str, &str)]) -> String {
        read(text, environment).unwrap_err().to_string()
    }

    #[test]
    fn shipped_file_shows_every_key_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(read(&text, &[]).unwrap(), Config::default());
        let shipped: toml::Table = text.parse().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        for (section, keys) in &defaults {
            for key in keys.as_table().unwrap().keys() {
                assert!(shipped[section].as_table().unwrap().contains_key(key), "[{section}] {key} is not shown");
            }
        }
    }

    #[test]
    fn a_typo_is_refused_with_its_line_and_the_nearest_key() {
        let refused = refusal("[http]\n\nlistn = \"127.0.0.1:1\"\n", &[]);
        assert_eq!(refused, "muster.toml:3: [http] has no key `listn`; did you mean `listen`?");
        let refused = refusal("[htpp]\n", &[]);
        assert_eq!(refused, "muster.toml:1: there is no section [htpp]; did you mean [http]?");
        assert!(refusal("[zzzzzz]\n", &[]).contains("sections are"), "the way out is named");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line() {
        let refused = refusal("[http]\nlisten = \"here\"\n", &[]);
        assert!(refused.starts_with("muster.toml:2: "), "{refused}");
        let refused = refusal("[http]\nrequest_timeout = \"10 parsecs\"\n", &[]);
        assert!(refused.starts_with("muster.toml:2: ") && refused.contains("no span of time"), "{refused}");
    }

    #[test]
    fn the_environment_wins_over_the_file_as_the_type_of_the_default() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\nbatch_max = 5\n";
        let set = [
            ("MUSTER_HTTP_LISTEN", "127.0.0.1:2"),
            ("MUSTER_HTTP_HOSTS", "muster.local, desk.local"),
            ("MUSTER_JOURNAL_PATH", "/tmp/x"),
            ("MUSTER_WEBHOOK_TIMEOUT", "250ms"),
            ("PATH", "/bin"),
        ];
        let config = read(file, &set).unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!(config.http.batch_max.get(), 5, "the file still counts where the environment is silent");
        assert_eq!(config.http.hosts, ["muster.local", "desk.local"]);
        assert_eq!(config.journal.path, Path::new("/tmp/x"));
        assert_eq!(config.webhook.timeout.0, 250);
    }

    #[test]
    fn a_wrong_variable_is_refused_by_its_name() {
        let refused = refusal("", &[("MUSTER_HTTP_LISTN", "127.0.0.1:1")]);
        assert!(refused.contains("MUSTER_HTTP_LISTN") && refused.contains("MUSTER_HTTP_LISTEN"), "{refused}");
        let refused = refusal("", &[("MUSTER_HTTP_BATCH_MAX", "many")]);
        assert!(refused.contains("MUSTER_HTTP_BATCH_MAX") && refused.contains("whole number"), "{refused}");
        let refused = refusal("", &[("MUSTER_HTTP_BATCH_MAX", "0")]);
        assert!(refused.contains("MUSTER_HTTP_BATCH_MAX"), "{refused}");
        let refused = refusal("", &[("MUSTER_HTPP_LISTEN", "127.0.0.1:1")]);
        assert!(refused.contains("did you mean"), "{refused}");
    }

    #[test]
    fn a_variable_of_no_section_of_ours_is_only_named() {
        let environment = [("MUSTER_PORT_8080_TCP_ADDR".to_owned(), "10.0.0.1".to_owned())];
        let (config, ignored) = overlay::read("muster.toml", "", environment).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(ignored, ["MUSTER_PORT_8080_TCP_ADDR"]);
    }
}
