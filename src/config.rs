//! Configuration: assembles the options of the parts from a file and the environment.

pub mod playbook;
