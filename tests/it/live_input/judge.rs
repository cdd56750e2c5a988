//! What must hold after any run: no panic, no secret anywhere, every fill of the ledger booked once.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Desk, Said};
use crate::oracle::files;

/// What is wrong with an end: the exit code, words that are missing, a panic, a secret that got out.
pub(super) fn of_end(desk: &Desk, said: &Said, code: i32, words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    if said.code != Some(code) {
        findings.push(format!("it ended with {:?} and not with {code}", said.code));
    }
    for word in words.iter().filter(|word| !said.text.contains(**word)) {
        findings.push(format!("`{word}` is not among its words"));
    }
    findings.extend(soundness(desk));
    if !findings.is_empty() {
        findings.push(said.text.clone());
    }
    findings
}

/// What may never happen in any run: a panic, or a secret in anything it wrote.
pub(super) fn soundness(desk: &Desk) -> Vec<String> {
    let mut findings = Vec::new();
    let crash = desk.home.state().join("logs/crash.log");
    if crash.exists() {
        findings.push(format!("there is a crash.log:\n{}", std::fs::read_to_string(crash).unwrap_or_default()));
    }
    let config = desk.command(&["config"]).text;
    let mut texts = BTreeMap::from([("its output".to_owned(), desk.home.printed()), ("config".to_owned(), config)]);
    gather(&desk.home.state(), &mut texts);
    let secrets = ["BYBIT_API_KEY", "BYBIT_API_SECRET"].map(|name| desk.value_of(name));
    for (place, text) in &texts {
        if text.contains("panicked at") || text.contains("PANIC") {
            findings.push(format!("{place} tells of a panic"));
        }
        for secret in secrets.iter().filter(|secret| !secret.is_empty() && text.contains(**secret)) {
            findings.push(format!("{place} holds the secret {secret}"));
        }
    }
    findings
}

/// Every file of a folder, as text.
fn gather(folder: &Path, texts: &mut BTreeMap<String, String>) {
    for path in files::entries(folder) {
        if path.is_dir() {
            gather(&path, texts);
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            texts.insert(path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
