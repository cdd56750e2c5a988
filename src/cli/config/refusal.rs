//! Why a configuration is refused: file and line, key, value, what is allowed.
//!
//! Always holds: the value of a key that is unknown or looks like a secret is in no refusal.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file, or `environment`, or `command line`.
    pub source: String,
    /// The line in the file, counted from one; 0 where there is none.
    pub line: usize,
    /// The key's path, or the variable's name.
    pub key: String,
    /// The value as it is written, where it may be shown.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What is allowed, or how to mend it.
    pub allowed: String,
}

impl Refusal {
    /// A refusal of an environment variable.
    pub(crate) fn of_variable(name: &str, value: &str, problem: &str, allowed: &str) -> Refusal {
        Refusal {
            source: "environment".to_owned(),
            line: 0,
            key: name.to_owned(),
            value: Some(clipped(value)),
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.source)?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(out, ": {}", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(out, " = {value}")?;
        }
        write!(out, "\n    {}", self.problem)?;
        if !self.allowed.is_empty() {
            write!(out, "\n    {}", self.allowed)?;
        }
        Ok(())
    }
}

/// All refusals, as a person reads them.
pub fn told(refusals: &[Refusal]) -> String {
    let mut text = match refusals.len() {
        1 => "One thing in the configuration is refused:\n".to_owned(),
        count => format!("{count} things in the configuration are refused:\n"),
    };
    for refusal in refusals {
        text.push_str(&format!("\n{refusal}\n"));
    }
    text
}

/// The first line of a text, at most 60 characters of it.
pub(crate) fn clipped(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > 60 || line.len() < text.trim_end().len() {
        format!("{}…", line.chars().take(59).collect::<String>())
    } else {
        line.to_owned()
    }
}
