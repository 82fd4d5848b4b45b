//! Ways to break the protocol.

/// What a host or a reader does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Effects leave when their step is appended.
    EmittedBeforeAccepted,
    /// Any append that was acknowledged is acted upon.
    AnyAcknowledgedIsAccepted,
    /// The running state is kept after a void step.
    StateIsKept,
    /// A reader applies what comes last.
    ReaderIgnoresRev,
    /// A new owner takes the state of orders from what was emitted.
    RestoredFromProjection,
    /// Positions are written without what was read ahead.
    ReadAheadIsForgotten,
    /// A host has the same name at every start.
    NameIsReused,
    /// A new owner does not emit what its predecessor left.
    UnemittedIsForgotten,
    /// Effects count as emitted when they are sent.
    EmittedWhenSent,
    /// The log is trimmed below a mark that no record carries.
    TrimmedBelowWhatNobodyCarries,
}

pub const FAULTS: [Fault; 10] = [
    Fault::EmittedBeforeAccepted,
    Fault::AnyAcknowledgedIsAccepted,
    Fault::StateIsKept,
    Fault::ReaderIgnoresRev,
    Fault::RestoredFromProjection,
    Fault::ReadAheadIsForgotten,
    Fault::NameIsReused,
    Fault::UnemittedIsForgotten,
    Fault::EmittedWhenSent,
    Fault::TrimmedBelowWhatNobodyCarries,
];
