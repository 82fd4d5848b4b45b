//! The rehearsal: a seeded city that speaks only through the public doors.
