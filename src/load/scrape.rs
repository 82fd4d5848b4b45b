//! What the instance says of itself, before and after: `/metrics`, read as a scraper reads it.

use std::collections::BTreeMap;

use serde::Serialize;

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads the text form; lines that are no samples are passed over.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self { samples: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// The sum over all samples of a metric whose labels hold all of these.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.of(name).filter(|(key, _)| labels.iter().all(|l| key.contains(l))).map(|(_, value)| value).sum()
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let all = self.samples.range(name.to_owned()..).map(|(key, value)| (key.as_str(), *value));
        all.take_while(move |(key, _)| key.starts_with(name))
            .filter(move |(key, _)| key.len() == name.len() || key[name.len()..].starts_with('{'))
    }

    /// What a histogram came to since `before`.
    #[must_use]
    pub fn spread(&self, before: &Self, name: &str) -> Spread {
        let bucket = format!("{name}_bucket");
        let edges = |scrape: &Self| -> Vec<(f64, f64)> {
            let mut edges: Vec<(f64, f64)> = scrape.of(&bucket).filter_map(|(k, v)| Some((edge(k)?, v))).collect();
            edges.sort_by(|a, b| a.0.total_cmp(&b.0));
            edges
        };
        let then: BTreeMap<u64, f64> = edges(before).into_iter().map(|(edge, n)| (edge.to_bits(), n)).collect();
        let counted = |(edge, n): (f64, f64)| (edge, n - then.get(&edge.to_bits()).copied().unwrap_or(0.0));
        Spread::of(edges(self).into_iter().map(counted).collect())
    }
}

fn edge(key: &str) -> Option<f64> {
    let text = key.split("le=\"").nth(1)?.split('"').next()?;
    if text == "+Inf" { Some(f64::INFINITY) } else { text.parse().ok() }
}

/// A distribution by the edges of its buckets: each figure is the edge that holds it, so the truth is no more than it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Half took no longer, in milliseconds.
    pub p50_le_ms: Option<f64>,
    /// Of a hundred all but one. Without a value beyond the last edge.
    pub p99_le_ms: Option<f64>,
    /// The share that took no more than a tenth of a second, in percent.
    pub within_100ms_percent: Option<f64>,
}

impl Spread {
    /// Of cumulative counts by edge, in seconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
    fn of(edges: Vec<(f64, f64)>) -> Self {
        let all = edges.last().map_or(0.0, |(_, n)| *n);
        if all < 1.0 {
            return Self::default();
        }
        let at = |share: f64| edges.iter().find(|(_, n)| *n >= all * share).map(|(edge, _)| edge * 1000.0);
        let tenth = edges.iter().find(|(edge, _)| (*edge - 0.1).abs() < 1e-9).map(|(_, n)| n / all * 100.0);
        Self {
            count: all as u64,
            p50_le_ms: at(0.5).filter(|ms| ms.is_finite()),
            p99_le_ms: at(0.99).filter(|ms| ms.is_finite()),
            within_100ms_percent: tenth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: [u32; 4]) -> String {
        let [a, b, c, d] = counts;
        format!(
            "# HELP m_seconds x\nm_seconds_bucket{{le=\"0.01\"}} {a}\nm_seconds_bucket{{le=\"0.1\"}} {b}\n\
             m_seconds_bucket{{le=\"1\"}} {c}\nm_seconds_bucket{{le=\"+Inf\"}} {d}\nm_seconds_count {d}\n\
             orders{{kind=\"patrol\",outcome=\"issued\"}} 3\norders{{kind=\"base\",outcome=\"issued\"}} 4\n\
             orders{{kind=\"base\",outcome=\"signed\"}} 9\norders_more 100\n"
        )
    }

    #[test]
    fn counters_are_summed_by_their_labels() {
        let scrape = Scrape::read(&text([0, 0, 0, 0]));
        assert!((scrape.sum("orders", &["outcome=\"issued\""]) - 7.0).abs() < 1e-9);
        assert!((scrape.sum("orders", &[]) - 16.0).abs() < 1e-9, "another metric is not summed with it");
        assert!(scrape.sum("absent", &[]).abs() < 1e-9);
    }

    #[test]
    fn a_histogram_counts_only_what_came_since() {
        let (before, after) = (Scrape::read(&text([50, 50, 50, 50])), Scrape::read(&text([50, 149, 150, 150])));
        let spread = after.spread(&before, "m_seconds");
        assert_eq!((spread.count, spread.p50_le_ms, spread.p99_le_ms), (100, Some(100.0), Some(100.0)));
        assert!((spread.within_100ms_percent.unwrap() - 99.0).abs() < 1e-9);
        assert_eq!(before.spread(&before, "m_seconds"), Spread::default());
    }
}
