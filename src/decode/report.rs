//! The data of a `muster.report`: every member may be absent, an unknown one is dropped and counted.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::json::Reader;
use super::values::{no_control, required, within_limit, wrong_type};
use super::{Limits, Reason, Rejection};
use crate::model::{Certainty, Crs, FreeText, PlaceRef, Position, Report, ReportSeverity, Status, Urgency};

/// An accuracy worse than half the earth's girth says nothing.
const ACCURACY_M_MAX: f64 = 20_037_508.0;

const STATUS: [(&str, Status); 3] =
    [("actual", Status::Actual), ("exercise", Status::Exercise), ("test", Status::Test)];

const URGENCY: [(&str, Urgency); 5] = [
    ("immediate", Urgency::Immediate),
    ("expected", Urgency::Expected),
    ("future", Urgency::Future),
    ("past", Urgency::Past),
    ("unknown", Urgency::Unknown),
];

const SEVERITY: [(&str, ReportSeverity); 5] = [
    ("extreme", ReportSeverity::Extreme),
    ("severe", ReportSeverity::Severe),
    ("moderate", ReportSeverity::Moderate),
    ("minor", ReportSeverity::Minor),
    ("unknown", ReportSeverity::Unknown),
];

const CERTAINTY: [(&str, Certainty); 5] = [
    ("observed", Certainty::Observed),
    ("likely", Certainty::Likely),
    ("possible", Certainty::Possible),
    ("unlikely", Certainty::Unlikely),
    ("unknown", Certainty::Unknown),
];

const CRS: [(&str, Crs); 2] = [("wgs84", Crs::Wgs84), ("gcj02", Crs::Gcj02)];

/// Reads a report.
pub(super) fn report(r: &mut Reader, limits: &Limits) -> Result<Report, Rejection> {
    let mut report = Report::default();
    r.object(|r, name| {
        match name {
            "code" => report.code = r.id(limits.id_bytes_max)?,
            "text" => report.text = r.text(limits.text_bytes_max)?.map_or_else(FreeText::default, |t| (&*t).into()),
            "status" => report.status = r.word(&STATUS)?.unwrap_or_default(),
            "urgency" => report.urgency = r.word(&URGENCY)?,
            "severity" => report.severity = r.word(&SEVERITY)?,
            "certainty" => report.certainty = r.word(&CERTAINTY)?,
            "place" => report.place = place(r, limits)?,
            "attributes" => report.attributes = attributes(r, limits)?,
            "callback" => report.callback = r.id(limits.callback_bytes_max)?,
            "references" => report.references = references(r, limits)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(report)
}

/// Reads a place as a producer names it.
pub(super) fn place(r: &mut Reader, limits: &Limits) -> Result<PlaceRef, Rejection> {
    let mut place = PlaceRef::default();
    if !r.is_object()? {
        return Ok(place);
    }
    r.object(|r, name| {
        match name {
            "id" => place.id = r.id(limits.id_bytes_max)?,
            "township" => place.township = r.id(limits.id_bytes_max)?.map(|code| code.as_str().into()),
            "vintage" => place.vintage = r.id(limits.id_bytes_max)?,
            "position" => {
                if let Some((position, accuracy_m)) = position(r)? {
                    (place.position, place.accuracy_m) = (Some(position), accuracy_m);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(place)
}

/// Reads a point with its accuracy, and turns it into WGS-84.
pub(super) fn position(r: &mut Reader) -> Result<Option<(Position, Option<f64>)>, Rejection> {
    let (mut lon, mut lat, mut accuracy_m, mut crs) = (None, None, None, Crs::default());
    if !r.is_object()? {
        return Ok(None);
    }
    r.object(|r, name| {
        match name {
            "lon" => lon = r.number_within(-180.0, 180.0)?,
            "lat" => lat = r.number_within(-90.0, 90.0)?,
            "accuracy_m" => accuracy_m = r.number_within(0.0, ACCURACY_M_MAX)?,
            "crs" => crs = r.word(&CRS)?.unwrap_or_default(),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let lon = required(lon, "lon", "degrees east, or no position at all")?;
    let lat = required(lat, "lat", "degrees north, or no position at all")?;
    let position = match crs {
        Crs::Wgs84 => Position { lon, lat },
        Crs::Gcj02 => Position::from_gcj02(Position { lon, lat }),
    };
    Ok(Some((position, accuracy_m)))
}

fn attributes(r: &mut Reader, limits: &Limits) -> Result<BTreeMap<SmolStr, f64>, Rejection> {
    let mut readings = BTreeMap::new();
    if !r.is_object()? {
        return Ok(readings);
    }
    r.object(|r, name| {
        if name.is_empty() {
            return Err(Rejection::invalid("has an empty name", "name each reading"));
        }
        within_limit(name, limits.id_bytes_max)?;
        no_control(name)?;
        if let Some(reading) = r.number_within(f64::MIN, f64::MAX)? {
            readings.insert(SmolStr::new(name), reading);
        }
        if readings.len() > limits.attributes_max {
            return Err(too_many("readings", limits.attributes_max));
        }
        Ok(true)
    })?;
    Ok(readings)
}

fn references(r: &mut Reader, limits: &Limits) -> Result<Vec<SmolStr>, Rejection> {
    let mut references = Vec::new();
    if !r.is_list()? {
        return Ok(references);
    }
    r.array(|r, _| {
        // `source:id`, each of them an id.
        let next = r.next()?;
        let Some(reference) = r.id(2 * limits.id_bytes_max + 1)? else { return Err(wrong_type("text", next)) };
        references.push(reference);
        if references.len() > limits.references_max {
            return Err(too_many("references", limits.references_max));
        }
        Ok(())
    })?;
    Ok(references)
}

pub(super) fn too_many(what: &str, limit: usize) -> Rejection {
    Rejection::new(Reason::TooMany, format!("more than {limit} {what}"), "send fewer")
}
