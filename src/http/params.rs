//! The query of a read: every parameter has a type, and one that nobody knows is refused rather than passed over.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use smol_str::SmolStr;

use super::{Options, Problem};

/// What a request asks.
pub struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    /// The query of this address.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|e| Problem::parameter("query", e.body_text()))?;
        Ok(Self { given, known: Vec::new() })
    }

    /// The value of a parameter, if it was given and is not empty.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.given.iter().position(|(n, _)| n == name)?;
        Some(self.given.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// The value of a parameter as this type.
    pub fn get<T: FromStr>(&mut self, name: &'static str, what: &str) -> Result<Option<T>, Problem> {
        let parse = |text: String| text.parse().map_err(|_| Problem::parameter(name, format!("is no {what}")));
        self.text(name).map(parse).transpose()
    }

    /// The value of a parameter as a value whose JSON form is this text, such as a desk.
    pub fn word<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &'static str,
        hint: &str,
    ) -> Result<Option<T>, Problem> {
        self.text(name).map(|text| word(&text, name, hint)).transpose()
    }

    /// The values of a parameter that takes a list, `a,b`.
    pub fn list(&mut self, name: &'static str) -> Vec<SmolStr> {
        let mut values = Vec::new();
        while let Some(text) = self.text(name) {
            values.extend(text.split(',').map(str::trim).filter(|v| !v.is_empty()).map(SmolStr::from));
        }
        values
    }

    /// As [`Params::list`], each as a value whose JSON form is this text.
    pub fn words<T: serde::de::DeserializeOwned>(&mut self, name: &'static str, hint: &str) -> Result<Vec<T>, Problem> {
        self.list(name).iter().map(|text| word(text, name, hint)).collect()
    }

    /// How many entries.
    pub fn limit(&mut self, options: &Options) -> Result<usize, Problem> {
        let limit: Option<usize> = self.get("limit", "whole number")?;
        Ok(limit.unwrap_or(options.page_default.get()).clamp(1, options.page_max.get()))
    }

    /// Nothing else may have been asked.
    pub fn end(mut self) -> Result<(), Problem> {
        let unknown = self.given.iter().find(|(name, _)| !self.known.contains(&name.as_str()));
        let Some((name, _)) = unknown else { return Ok(()) };
        self.known.sort_unstable();
        self.known.dedup();
        let known = if self.known.is_empty() { String::from("it takes none") } else { self.known.join(", ") };
        let meant = self.known.iter().find(|k| strsim::damerau_levenshtein(k, name) <= 2);
        let hint = meant.map_or(format!("known here: {known}"), |m| format!("did you mean `{m}`?"));
        let shown: String = name.chars().take(64).collect();
        Err(Problem::parameter(&shown, "is no parameter of this route").hint(hint))
    }
}

fn word<T: serde::de::DeserializeOwned>(text: &str, name: &'static str, hint: &str) -> Result<T, Problem> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| Problem::parameter(name, "has none of its values").hint(hint))
}
