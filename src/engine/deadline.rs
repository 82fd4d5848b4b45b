//! Deadlines: what the wheel holds. Each variant says when it falls due; expiry is one exhaustive match in `advance`.

use smol_str::SmolStr;

use crate::model::{IncidentId, OrderId, PostId};

/// Something that falls due. The order of variants and fields is the order at one instant, so it must depend on
/// content alone: a restored engine fires exactly as one that never stopped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// When a mark of an incident warns.
    Warn(IncidentId, u16),
    /// When a mark of an order warns.
    WarnOrder(OrderId, u16),
    /// When a mark of an incident, or of one of its orders (its number), is missed.
    Due(IncidentId, u32, u16),
    /// When the delivery of an unsigned order is given up.
    Expiry(OrderId),
    /// When a notice that nobody took goes to the next desk.
    Take(SmolStr),
    /// When an all-call ends by itself.
    CallEnds(IncidentId),
    /// When the next stretch of an all-call is worked off.
    CallGoesOn(IncidentId),
    /// When a post's hours begin or end.
    Hours(PostId),
    /// When a flood has been quiet long enough.
    Quiet(IncidentId),
    /// When the digests of a minute die.
    Forget(i64),
    /// When a closed incident leaves the reach of late reports.
    Retire(IncidentId),
    /// When a planned window opens. Before a silence ends at the same instant, so that what both hide stays hidden.
    WindowOpens(SmolStr),
    /// When a silence, or a stretch of a window, ends.
    SilenceEnds(SmolStr),
}
