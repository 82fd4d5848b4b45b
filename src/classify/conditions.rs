//! Whether a condition holds for a report.

use std::cell::OnceCell;

use crate::model::{CategoryId, LocalTime, Place, Report, SourceId, Timestamp};
use crate::playbook::{Condition, Hits, Offered, Playbook, Reading, covers};

/// All that a condition may ask about.
#[derive(Debug)]
pub struct Facts<'a> {
    pub(super) report: &'a Report,
    pub(super) source: &'a str,
    pub(super) place: &'a Place,
    pub(super) hits: Hits,
    received: Timestamp,
    zone: &'a jiff::tz::TimeZone,
    /// Most conditions never look at the clock on the wall, and asking a zone is dear.
    local: OnceCell<LocalTime>,
}

impl<'a> Facts<'a> {
    /// The facts of a report; its text is scanned here, once.
    #[must_use]
    pub fn of(
        playbook: &'a Playbook,
        report: &'a Report,
        source: &'a SourceId,
        received: Timestamp,
        place: &'a Place,
    ) -> Self {
        let hits = playbook.keyword_hits(report.text.reveal());
        Self { report, source: source.as_str(), place, hits, received, zone: &playbook.zone, local: OnceCell::new() }
    }

    /// What the rule index asks.
    pub(super) fn offered(&self) -> Offered<'_> {
        let code = self.report.code.as_deref();
        Offered { hits: &self.hits, code, source: self.source, area: self.place.area.as_ref() }
    }

    /// The clock on the wall at receipt.
    pub(super) fn local(&self) -> LocalTime {
        *self.local.get_or_init(|| self.received.local(self.zone))
    }
}

impl Condition {
    /// Whether every part holds. `category` is the one decided so far; rules are tried before there is one.
    #[must_use]
    pub fn holds(&self, facts: &Facts, category: Option<&CategoryId>) -> bool {
        let part = |part: Part| part.holds(self, facts, category);
        // One line a part rather than a loop, so that each becomes the one comparison it is.
        self.words_hold(&facts.hits)
            && part(Part::Code)
            && part(Part::Source)
            && part(Part::Area)
            && part(Part::RiskClass)
            && part(Part::Ring)
            && part(Part::KeySite)
            && part(Part::Urgency)
            && part(Part::Severity)
            && part(Part::Certainty)
            && part(Part::Attributes)
            && part(Part::Category)
            && part(Part::Hours)
            && part(Part::Weekdays)
    }
}

/// The parts of a condition, each of which must hold: what the decision asks one by one and the explanation in a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Any,
    All,
    None,
    Code,
    Source,
    Area,
    RiskClass,
    Ring,
    KeySite,
    Urgency,
    Severity,
    Certainty,
    Attributes,
    Category,
    Hours,
    Weekdays,
}

impl Part {
    pub(super) const ALL: [Self; 16] = [
        Self::Any,
        Self::All,
        Self::None,
        Self::Code,
        Self::Source,
        Self::Area,
        Self::RiskClass,
        Self::Ring,
        Self::KeySite,
        Self::Urgency,
        Self::Severity,
        Self::Certainty,
        Self::Attributes,
        Self::Category,
        Self::Hours,
        Self::Weekdays,
    ];

    /// The name as it stands in a rule's `when`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
            Self::None => "none",
            Self::Code => "code",
            Self::Source => "source",
            Self::Area => "area",
            Self::RiskClass => "risk_class",
            Self::Ring => "ring",
            Self::KeySite => "key_site",
            Self::Urgency => "urgency",
            Self::Severity => "severity",
            Self::Certainty => "certainty",
            Self::Attributes => "attributes",
            Self::Category => "category",
            Self::Hours => "hours",
            Self::Weekdays => "weekdays",
        }
    }

    /// Whether the condition asks for this part at all.
    pub(super) fn is_asked(self, c: &Condition) -> bool {
        match self {
            Self::Any => !c.any.is_empty(),
            Self::All => !c.all.is_empty(),
            Self::None => !c.none.is_empty(),
            Self::Code => !c.code.is_empty(),
            Self::Source => !c.source.is_empty(),
            Self::Area => !c.area.is_empty(),
            Self::RiskClass => !c.risk_class.is_open(),
            Self::Ring => !c.ring.is_open(),
            Self::KeySite => c.key_site.is_some(),
            Self::Urgency => !c.urgency.is_open(),
            Self::Severity => !c.severity.is_open(),
            Self::Certainty => !c.certainty.is_open(),
            Self::Attributes => !c.attributes.is_empty(),
            Self::Category => !c.category.is_empty(),
            Self::Hours => !c.hours.is_always(),
            Self::Weekdays => !c.weekdays.is_open(),
        }
    }

    /// Whether this part holds; a part that is not asked for does.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the part is known where it is asked, and the match goes away")]
    pub(super) fn holds(self, c: &Condition, facts: &Facts, category: Option<&CategoryId>) -> bool {
        let (report, place) = (facts.report, facts.place);
        match self {
            Self::Any => c.any.is_empty() || c.any.meets(&facts.hits),
            Self::All => facts.hits.holds(&c.all),
            Self::None => !c.none.meets(&facts.hits),
            Self::Code => c.code.is_empty() || report.code.as_ref().is_some_and(|code| begins(code, &c.code)),
            Self::Source => c.source.is_empty() || begins(facts.source, &c.source),
            Self::Area => c.area.is_empty() || place.area.as_ref().is_some_and(|area| c.area.contains(area)),
            Self::RiskClass => c.risk_class.admits_maybe(place.risk_class),
            Self::Ring => c.ring.admits(place.ring),
            Self::KeySite => c.key_site.is_none_or(|wanted| wanted == place.site.is_some()),
            Self::Urgency => c.urgency.admits_maybe(report.urgency),
            Self::Severity => c.severity.admits_maybe(report.severity),
            Self::Certainty => c.certainty.admits_maybe(report.certainty),
            Self::Attributes => c.attributes.iter().all(|reading| reads(reading, report)),
            Self::Category => {
                c.category.is_empty() || category.is_some_and(|is| c.category.iter().any(|c| covers(c, is)))
            }
            Self::Hours => c.hours.is_always() || c.hours.contains(facts.local().minute),
            Self::Weekdays => c.weekdays.is_open() || c.weekdays.admits(facts.local().weekday),
        }
    }
}

fn begins(text: &str, prefixes: &[smol_str::SmolStr]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
}

/// A reading that the report does not carry holds nothing.
fn reads(reading: &Reading, report: &Report) -> bool {
    report.attributes.get(&reading.name).is_some_and(|value| {
        reading.at_least.is_none_or(|limit| *value >= limit) && reading.below.is_none_or(|limit| *value < limit)
    })
}
