//! One file per command; the ones that only pass a word to a running trader share `steer`.

pub mod completions;
pub mod config;
pub mod doctor;
pub mod exchange;
pub mod init;
pub mod report;
pub mod run;
pub mod status;
pub mod steer;
