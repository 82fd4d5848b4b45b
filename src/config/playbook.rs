//! The playbook's folder: every `*.toml` in it is part of its text.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::playbook::{Playbook, Problem};

/// Why there is no playbook.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file cannot be read.
    #[error("the playbook's {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("{} holds no *.toml file; name a playbook's folder, such as config/playbooks/hengyang", .0.display())]
    Empty(PathBuf),
    /// It was read, and refused.
    #[error("the playbook has {}; `muster check` lists them, the first: {}", count(.0.len()), .0[0])]
    Refused(Vec<Problem>),
}

fn count(problems: usize) -> String {
    if problems == 1 { "a problem".to_owned() } else { format!("{problems} problems") }
}

/// The files of a folder, as (name, text), in the order of their names.
///
/// # Errors
/// When something cannot be read or there is no such file.
pub fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).map_err(unreadable(&path))?));
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::Empty(dir.to_owned())) } else { Ok(files) }
}

/// The playbook of a folder, with the named set of marks in force, or the one it names itself.
///
/// # Errors
/// When it cannot be read, or is refused.
pub fn load_dir(dir: &Path, set: Option<&str>) -> Result<Playbook, Error> {
    Playbook::load_set(&read_dir(dir)?, set).map_err(Error::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_playbook_says_what_to_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes.txt"), "x").unwrap();
        let told = load_dir(dir.path(), None).unwrap_err().to_string();
        assert!(told.contains("holds no *.toml file"), "{told}");
        let told = load_dir(&dir.path().join("absent"), None).unwrap_err().to_string();
        assert!(told.contains("absent cannot be read"), "{told}");
        fs::write(dir.path().join("a.toml"), "[playbok]\n").unwrap();
        let Error::Refused(problems) = load_dir(dir.path(), None).unwrap_err() else { panic!("refused") };
        assert_eq!(
            problems.iter().map(ToString::to_string).find(|p| p.starts_with("a.toml:1")),
            Some("a.toml:1: a playbook has no table `playbok` (did you mean \"playbook\"?)".to_owned())
        );
    }
}
