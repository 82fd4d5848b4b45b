//! `GET /v1/archive` and `/v1/archive.csv`: search in what the board holds, for reading and for a table.
//!
//! The table is for spreadsheets, which take a cell that begins with `=`, `+`, `-` or `@` for a formula. Words of a report
//! come from outside: such a cell gets an apostrophe before it, which a spreadsheet shows as text.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::params::Params;
use super::{App, Problem, reads, views};
use crate::access::Caller;
use crate::board::{Found, SearchQuery};
use crate::engine::state::Incident;
use crate::playbook::Playbook;
use crate::wire::time;

/// Rows of a table at most.
const ROWS_MAX: usize = 10_000;
/// Words of a query at most.
const WORDS_MAX: usize = 16;

/// `GET /v1/archive`
pub async fn archive(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = query(&app, &caller, &uri)?;
    let page = search(&app, query).await?;
    let entry = |f: &Found| {
        let mut told = views::incident(&f.incident);
        told["words"] = words(f).into();
        told["posts"] = f.orders.iter().map(|o| o.post.as_str()).collect();
        told
    };
    Ok(Json(json!({ "items": page.0.iter().map(entry).collect::<Vec<_>>(), "next": page.1 })))
}

/// `GET /v1/archive.csv`
pub async fn archive_csv(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = query(&app, &caller, &uri)?;
    query.limit = ROWS_MAX;
    let (found, next) = search(&app, query).await?;
    let table = table(&found, &app.gate.playbooks()).map_err(unreadable)?;
    let named = "attachment; filename=\"muster-archive.csv\"";
    let more = if next.is_some() { "true" } else { "false" };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, named),
        (header::HeaderName::from_static("muster-more"), more),
    ];
    Ok((headers, table).into_response())
}

fn query(app: &App, caller: &Caller, uri: &Uri) -> Result<SearchQuery, Problem> {
    let mut p = Params::of(uri)?;
    let instant = |t: Option<String>, name| t.map(|t| reads::instant(name, &t)).transpose();
    let words = p.text("q").unwrap_or_default().to_lowercase();
    let query = SearchQuery {
        sight: caller.principal.sight(),
        words: words.split_whitespace().take(WORDS_MAX).map(str::to_owned).collect(),
        area: p.text("area").map(Into::into),
        category: p.text("category").map(Into::into),
        post: p.text("post").map(Into::into),
        open: p.get("open", "`true` or `false`")?,
        since: instant(p.text("since"), "since")?,
        until: instant(p.text("until"), "until")?,
        drill: p.get("drill", "`true` or `false`")?,
        cursor: p.get("cursor", "cursor; take `next` of the answer before")?,
        limit: p.limit(&app.options)?,
    };
    p.end()?;
    Ok(query)
}

async fn search(app: &App, query: SearchQuery) -> Result<(Vec<Found>, Option<String>), Problem> {
    let (board, books) = (Arc::clone(&app.board), app.gate.playbooks());
    let walk = tokio::task::spawn_blocking(move || board.search(&query, |i| names(i, &books)));
    let page = walk.await.map_err(unreadable)?;
    Ok((page.items, page.next.map(|id| id.to_string())))
}

fn unreadable(why: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "archive", why.to_string())
}

/// The names of an incident's place and category.
fn names(i: &Incident, books: &[Arc<Playbook>]) -> String {
    let mut names = vec![i.category().as_str()];
    for book in books {
        names.extend(i.place.area.as_ref().and_then(|a| book.areas.areas.get(a)).map(|a| a.name.as_str()));
        names.extend(i.place.county.as_ref().and_then(|c| book.areas.counties.get(c)).map(|c| c.name.as_str()));
        names.extend(i.place.site.as_ref().and_then(|s| book.areas.sites.get(s)).map(|s| s.name.as_str()));
        names.extend(book.taxonomy.categories.get(i.category()).map(|c| c.zh.as_str()));
    }
    names.join("\n")
}

fn words(f: &Found) -> String {
    f.reports.iter().map(|r| r.report.text.reveal()).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" / ")
}

const COLUMNS: [&str; 15] = [
    "incident",
    "received_at",
    "state",
    "category",
    "severity",
    "ring",
    "lane",
    "level",
    "county",
    "area",
    "site",
    "drill",
    "posts",
    "disposition",
    "words",
];

fn table(found: &[Found], books: &[Arc<Playbook>]) -> Result<Vec<u8>, csv::Error> {
    // With the mark by which a spreadsheet knows UTF-8.
    let mut out = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    out.write_record(COLUMNS)?;
    for f in found {
        out.write_record(row(f, books).iter().map(|cell| safe(cell)))?;
    }
    out.into_inner().map_err(|e| e.into_error().into())
}

fn row(f: &Found, books: &[Arc<Playbook>]) -> [String; COLUMNS.len()] {
    let (i, c) = (&*f.incident, &f.incident.classification);
    let name = |found: &dyn Fn(&Playbook) -> Option<String>| books.iter().find_map(|b| found(b)).unwrap_or_default();
    let posts: Vec<&str> = f.orders.iter().map(|o| o.post.as_str()).collect();
    let disposition = i.closed.as_ref().and_then(|c| c.disposition.as_ref()).map(|d| d.as_str().to_owned());
    [
        i.id.to_string(),
        time(i.received),
        i.state.as_str().to_owned(),
        i.category().to_string(),
        c.severity.to_string(),
        c.ring.to_string(),
        c.lane.to_string(),
        i.level.to_string(),
        name(&|b| Some(b.areas.counties.get(i.place.county.as_ref()?)?.name.to_string())),
        name(&|b| Some(b.areas.areas.get(i.place.area.as_ref()?)?.name.to_string())),
        name(&|b| Some(b.areas.sites.get(i.place.site.as_ref()?)?.name.to_string())),
        i.drill().to_string(),
        posts.join(" "),
        disposition.unwrap_or_default(),
        words(f),
    ]
}

/// A cell that no spreadsheet takes for a formula.
fn safe(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        return format!("'{cell}");
    }
    cell.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+49", "-2", "@sum(a1)", "\t=1", "＝1"] {
            assert_eq!(safe(cell), format!("'{cell}"));
        }
        assert_eq!(safe("着火 a=b"), "着火 a=b");
    }
}
