//! Intake: files of real history through a mapping that names columns, times and codes.
