//! The grid: which posts are near a point, without looking at the others.
//!
//! The box around all resting places (bases, fixed points, scenes) is cut into cells that hold two entries on average; an
//! entry outside the box (a wild fix) goes into the nearest border cell. A search hands out square rings of cells
//! around its target, and after each ring a bound: no entry nearer than that is still to come. The caller stops when the
//! bound says that nothing better can follow.
//!
//! A post whose position may go stale is listed twice, at its fix and at its resting place; which of the two counts is
//! the caller's question at the instant of the search, so no timer is needed when a fix grows old.
//!
//! The cut depends on the history of the grid (it is cut anew when it has grown fourfold or has left its box), the set of
//! entries within a distance does not: callers must let only the latter reach a decision.
//!
//! Left out: a command area across the 180th meridian.

use crate::model::Position;

/// One listing of a post.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Listed {
    /// The fleet's number of the post.
    pub(super) slot: usize,
    /// Where this listing stands.
    pub(super) position: Position,
    /// Whether it is the post's fix, or its resting place.
    pub(super) is_fix: bool,
}

/// Listings in cells.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// The corner with the least longitude and latitude.
    low: Position,
    /// The opposite corner.
    high: Position,
    cols: usize,
    rows: usize,
    /// Row by row.
    cells: Vec<Vec<Listed>>,
    len: usize,
    /// Cut anew beyond this many entries.
    len_max: usize,
}

/// Entries a cell holds on average when the grid is cut.
const PER_CELL: usize = 2;
/// A grid has at most this many columns and rows.
const SIDE_MAX: usize = 512;
/// A cell is at least this wide, in metres.
const EDGE_MIN_M: f64 = 100.0;
/// Room left around the box when the grid is cut, in degrees, so that a growing roster does not cut it at every post.
const MARGIN_DEG: f64 = 0.02;
/// Metres of one degree of latitude, rounded down.
const DEGREE_M: f64 = 111_190.0;
/// What the flat earth of the bound may be wrong by.
const SLACK: f64 = 0.995;

impl Default for Grid {
    fn default() -> Self {
        Self::cut(Vec::new())
    }
}

impl Grid {
    /// Lists a post at a place.
    pub(super) fn insert(&mut self, listed: Listed) {
        let outside = !listed.is_fix && !self.holds(listed.position);
        let cell = self.cell(listed.position);
        self.cells[cell].push(listed);
        self.len += 1;
        if outside || self.len > self.len_max {
            *self = Self::cut(self.cells.drain(..).flatten().collect());
        }
    }

    /// Takes a listing out; it must be named exactly as it was inserted.
    pub(super) fn remove(&mut self, listed: Listed) {
        let cell = self.cell(listed.position);
        let cell = &mut self.cells[cell];
        if let Some(found) = cell.iter().position(|held| *held == listed) {
            cell.swap_remove(found);
            self.len -= 1;
        }
    }

    /// Searches outward from a point.
    pub(super) fn around(&self, target: Position) -> Rings<'_> {
        let (col, row) = self.col_row(target);
        Rings { grid: self, target, col, row, ring: 0 }
    }

    fn cut(entries: Vec<Listed>) -> Self {
        let resting = || entries.iter().filter(|listed| !listed.is_fix).map(|listed| listed.position);
        let fold =
            |axis: fn(Position) -> f64, pick: fn(f64, f64) -> f64| resting().map(axis).reduce(pick).unwrap_or(0.0);
        let low = Position { lon: fold(|p| p.lon, f64::min) - MARGIN_DEG, lat: fold(|p| p.lat, f64::min) - MARGIN_DEG };
        let high =
            Position { lon: fold(|p| p.lon, f64::max) + MARGIN_DEG, lat: fold(|p| p.lat, f64::max) + MARGIN_DEG };
        let middle = f64::midpoint(low.lat, high.lat);
        let wide_m = (high.lon - low.lon) * DEGREE_M * middle.to_radians().cos().max(0.01);
        let tall_m = (high.lat - low.lat) * DEGREE_M;
        let len_max = (entries.len() * 4).max(64);
        let edge_m = (wide_m * tall_m * as_f64(PER_CELL) / as_f64(entries.len().max(1))).sqrt().max(EDGE_MIN_M);
        let side = |metres: f64| floor(metres / edge_m, SIDE_MAX - 1) + 1;
        let (cols, rows) = (side(wide_m), side(tall_m));
        let mut grid =
            Self { low, high, cols, rows, cells: vec![Vec::new(); cols * rows], len: entries.len(), len_max };
        for listed in entries {
            let cell = grid.cell(listed.position);
            grid.cells[cell].push(listed);
        }
        grid
    }

    fn holds(&self, p: Position) -> bool {
        (self.low.lon..=self.high.lon).contains(&p.lon) && (self.low.lat..=self.high.lat).contains(&p.lat)
    }

    fn cell(&self, p: Position) -> usize {
        let (col, row) = self.col_row(p);
        row * self.cols + col
    }

    fn col_row(&self, p: Position) -> (usize, usize) {
        let col = (p.lon - self.low.lon) / (self.high.lon - self.low.lon) * as_f64(self.cols);
        let row = (p.lat - self.low.lat) / (self.high.lat - self.low.lat) * as_f64(self.rows);
        (floor(col, self.cols - 1), floor(row, self.rows - 1))
    }
}

/// A search that goes outward ring by ring.
#[derive(Clone, Debug)]
pub(super) struct Rings<'a> {
    grid: &'a Grid,
    target: Position,
    col: usize,
    row: usize,
    ring: usize,
}

impl Rings<'_> {
    /// Hands out the next ring, then says within which distance, in metres, everything has now been handed out.
    pub(super) fn next_ring(&mut self, mut found: impl FnMut(Listed)) -> f64 {
        let Self { grid, col, row, ring, .. } = *self;
        let (left, right) = (col.saturating_sub(ring), (col + ring).min(grid.cols - 1));
        for r in row.saturating_sub(ring)..=(row + ring).min(grid.rows - 1) {
            let cells = &grid.cells[r * grid.cols..(r + 1) * grid.cols];
            if r.abs_diff(row) == ring {
                cells[left..=right].iter().flatten().for_each(|&listed| found(listed));
                continue;
            }
            let sides = [col.checked_sub(ring), Some(col + ring).filter(|&c| c < grid.cols)];
            sides.into_iter().flatten().flat_map(|c| &cells[c]).for_each(|&listed| found(listed));
        }
        self.ring += 1;
        self.bound_m()
    }

    /// The nearest that an entry of a ring not yet handed out can be; infinite when all were.
    fn bound_m(&self) -> f64 {
        let Self { grid, col, row, ring, .. } = *self;
        let at = |low: f64, high: f64, n: usize, of: usize| low + (high - low) * as_f64(n) / as_f64(of);
        let (lon, lat) =
            (self.target.lon.clamp(grid.low.lon, grid.high.lon), self.target.lat.clamp(grid.low.lat, grid.high.lat));
        // Degrees of longitude are shortest where the latitude is greatest.
        let farthest_lat = (grid.low.lat.abs().max(grid.high.lat.abs()) + 0.5).min(89.0);
        let lon_m = DEGREE_M * farthest_lat.to_radians().cos();
        let mut bound = f64::INFINITY;
        if let Some(west) = (col + 1).checked_sub(ring).filter(|&c| c > 0) {
            bound = bound.min((lon - at(grid.low.lon, grid.high.lon, west, grid.cols)) * lon_m);
        }
        if col + ring < grid.cols {
            bound = bound.min((at(grid.low.lon, grid.high.lon, col + ring, grid.cols) - lon) * lon_m);
        }
        if let Some(south) = (row + 1).checked_sub(ring).filter(|&r| r > 0) {
            bound = bound.min((lat - at(grid.low.lat, grid.high.lat, south, grid.rows)) * DEGREE_M);
        }
        if row + ring < grid.rows {
            bound = bound.min((at(grid.low.lat, grid.high.lat, row + ring, grid.rows) - lat) * DEGREE_M);
        }
        bound.max(0.0) * SLACK
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of cells and posts are far below 2^52")]
fn as_f64(n: usize) -> f64 {
    n as f64
}

/// The whole number below `x`, from 0 to `most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just before")]
fn floor(x: f64, most: usize) -> usize {
    x.clamp(0.0, as_f64(most)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn city() -> impl Strategy<Value = Position> {
        (112.0..113.2_f64, 26.1..27.5_f64).prop_map(Position::from)
    }

    fn wild() -> impl Strategy<Value = Position> {
        (-180.0..180.0_f64, -80.0..80.0_f64).prop_map(Position::from)
    }

    /// Bases lie in the city, a fix may lie anywhere.
    fn listing() -> impl Strategy<Value = (Position, bool)> {
        prop_oneof![10 => (city(), Just(false)), 10 => (city(), Just(true)), 1 => (wild(), Just(true))]
    }

    proptest! {
        /// Whatever was put in and taken out, a search hands out each listing once, and none after a bound beyond it.
        #[test]
        fn a_search_hands_out_everything_once_and_keeps_its_bound(
            entries in prop::collection::vec((listing(), any::<bool>()), 0..300),
            target in prop_oneof![9 => city(), 1 => wild()],
        ) {
            let mut grid = Grid::default();
            let listed = |slot: usize| Listed { slot, position: entries[slot].0.0, is_fix: entries[slot].0.1 };
            (0..entries.len()).for_each(|slot| grid.insert(listed(slot)));
            (0..entries.len()).filter(|&slot| entries[slot].1).for_each(|slot| grid.remove(listed(slot)));
            let mut rings = grid.around(target);
            let (mut seen, mut bound, mut early) = (Vec::new(), 0.0, Vec::new());
            while bound < f64::INFINITY {
                let before = bound;
                bound = rings.next_ring(|l| {
                    seen.push(l.slot);
                    if l.position.distance_m(target) < before {
                        early.push((l, before));
                    }
                });
                prop_assert!(bound >= before, "{bound} after {before}");
            }
            // Half around the globe the flat bound is no distance; what lies in the city must be right.
            early.retain(|(l, _)| grid.holds(target) && grid.holds(l.position));
            prop_assert!(early.is_empty(), "{early:?}");
            seen.sort_unstable();
            let left: Vec<_> = (0..entries.len()).filter(|&slot| !entries[slot].1).collect();
            prop_assert_eq!(seen, left);
        }
    }
}
