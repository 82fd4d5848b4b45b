//! The file checked key by key, then the environment laid over it, one variable at a time, so that each refusal can
//! name its line or its variable.

use smol_str::SmolStr;
use toml::de::{DeString, DeTable};
use toml::{Spanned, Table, Value};

use super::{Config, ConfigError};

const PREFIX: &str = "MUSTER_";

pub(super) fn read(
    path: &str,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Config, Vec<SmolStr>), ConfigError> {
    let known = Table::try_from(Config::default()).expect("the defaults are plain values");
    check_keys(path, text, &known)?;
    let mut config: Config = toml::from_str(text).map_err(|e| at(path, text, &e))?;
    let mut ignored = Vec::new();
    let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        let refuse = |reason: String| ConfigError::Variable { name: name.clone(), reason };
        match find(&name, &known) {
            Found::Key(section, key) => {
                let default = &known[section][key];
                let value = typed(&value, default).map_err(&refuse)?;
                let mut table = Table::try_from(&config).expect("a configuration is plain values");
                table[section][key] = value;
                config = table.try_into().map_err(|e: toml::de::Error| refuse(e.message().to_owned()))?;
            }
            Found::Typo(meant) => return Err(refuse(format!("there is no such key; did you mean {meant}?"))),
            Found::Foreign => ignored.push(SmolStr::from(name)),
        }
    }
    Ok((config, ignored))
}

/// Refuses an unknown section or key with its line.
fn check_keys(path: &str, text: &str, known: &Table) -> Result<(), ConfigError> {
    let refuse =
        |offset: usize, reason: String| ConfigError::File { path: path.into(), line: line(text, offset), reason };
    let file = DeTable::parse(text).map_err(|e| at(path, text, &e))?;
    for (section, keys) in file.get_ref() {
        let name = section.get_ref().as_ref();
        let Some(known_keys) = known.get(name).and_then(Value::as_table) else {
            let meant = match nearest(name, known.keys()) {
                Some(meant) => format!("did you mean [{meant}]?"),
                None => format!("sections are {}", list(known.keys())),
            };
            return Err(refuse(section.span().start, format!("there is no section [{name}]; {meant}")));
        };
        let Some(keys) = keys.get_ref().as_table() else {
            return Err(refuse(section.span().start, format!("`{name}` is a section; write [{name}]")));
        };
        let unknown = |key: &&_| !known_keys.contains_key(Spanned::<DeString>::get_ref(key).as_ref());
        if let Some(key) = keys.keys().find(unknown) {
            let wrong = key.get_ref().as_ref();
            let meant = match nearest(wrong, known_keys.keys()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("its keys are {}", list(known_keys.keys())),
            };
            return Err(refuse(key.span().start, format!("[{name}] has no key `{wrong}`; {meant}")));
        }
    }
    Ok(())
}

enum Found<'a> {
    Key(&'a str, &'a str),
    Typo(String),
    Foreign,
}

fn find<'a>(name: &str, known: &'a Table) -> Found<'a> {
    let every = || known.iter().flat_map(|(s, keys)| keys.as_table().into_iter().flatten().map(move |(k, _)| (s, k)));
    let variable = |section: &str, key: &str| format!("{PREFIX}{}_{}", section.to_uppercase(), key.to_uppercase());
    if let Some((section, key)) = every().find(|(s, k)| variable(s, k) == name) {
        return Found::Key(section, key);
    }
    let section = name[PREFIX.len()..].split('_').next().unwrap_or_default().to_lowercase();
    if !known.contains_key(&section) && nearest(&section, known.keys()).is_none() {
        return Found::Foreign;
    }
    let names: Vec<String> = every().map(|(s, k)| variable(s, k)).collect();
    let of_section = names.iter().filter(|n| n.starts_with(&format!("{PREFIX}{}_", section.to_uppercase())));
    Found::Typo(nearest(name, &names).map_or_else(|| list(of_section), str::to_owned))
}

/// The text of a variable as the type its default has.
fn typed(text: &str, default: &Value) -> Result<Value, String> {
    let wrong = |what: &str| format!("`{text}` is no {what}");
    Ok(match default {
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| wrong("whole number"))?),
        Value::Float(_) => Value::Float(text.trim().parse().map_err(|_| wrong("number"))?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().map_err(|_| wrong("`true` or `false`"))?),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}

fn at(path: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    ConfigError::File { path: path.to_owned(), line: line(text, offset), reason: error.message().to_owned() }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.char_indices().take_while(|(at, _)| *at < offset).filter(|(_, c)| *c == '\n').count()
}

/// The known word that was probably meant.
fn nearest<'a, S: AsRef<str> + 'a>(word: &str, known: impl IntoIterator<Item = &'a S>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::damerau_levenshtein(word, k.as_ref()), k.as_ref()));
    scored.min_by_key(|(distance, _)| *distance).filter(|(distance, k)| distance * 3 <= k.len().max(4)).map(|(_, k)| k)
}

fn list<'a, S: AsRef<str> + 'a>(words: impl IntoIterator<Item = &'a S>) -> String {
    words.into_iter().map(|w| format!("`{}`", w.as_ref())).collect::<Vec<_>>().join(", ")
}
