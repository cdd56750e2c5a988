//! Lines to commands and answers, and back. Strict: what is not exactly a command is none.

use serde_json::Value;

use crate::domain::command::{Command, CommandAnswer};

/// The command of a line, or why it is none, in words for whoever sent it.
pub(super) fn command(line: &[u8]) -> Result<Command, String> {
    let refuse = |why: &dyn std::fmt::Display| format!("this is not a command of ours, nothing was done: {why}");
    let command: Command = serde_json::from_slice(line).map_err(|error| refuse(&error))?;
    // The derived reader lets unknown fields pass beside commands that have none of their own.
    let given: Value = serde_json::from_slice(line).map_err(|error| refuse(&error))?;
    let known = serde_json::to_value(&command).map_err(|error| refuse(&error))?;
    // It also takes a list for an object.
    let Some(given) = given.as_object() else {
        return Err(refuse(&"it is no object"));
    };
    match given.keys().find(|key| known.get(key.as_str()).is_none()) {
        Some(field) => Err(refuse(&format!("unknown field `{field}`"))),
        None => Ok(command),
    }
}

/// The line of a value.
pub(super) fn line<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A refusal by the socket itself.
pub(super) fn refusal(text: String) -> CommandAnswer {
    CommandAnswer { ok: false, text, data: Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_survives_the_wire() {
        for given in [
            Command::Status,
            Command::Pause { keep_orders: true },
            Command::Pause { keep_orders: false },
            Command::Resume,
            Command::CancelAll,
            Command::Rearm,
            Command::Stop,
            Command::Restart,
        ] {
            let line = line(&given).unwrap();
            assert_eq!(command(line.trim_ascii_end()).unwrap(), given);
        }
        assert_eq!(command(br#"{"command":"pause"}"#).unwrap(), Command::Pause { keep_orders: false });
    }

    #[test]
    fn what_is_not_exactly_a_command_is_refused_by_name() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "EOF"),
            (b"stop", "expected"),
            (b"\"stop\"", "invalid type"),
            (b"[]", "missing"),
            (br#"["stop"]"#, "no object"),
            (br#"["pause",true]"#, "no object"),
            (b"null", "invalid type"),
            (b"{}", "missing field `command`"),
            (br#"{"command":"explode"}"#, "unknown variant `explode`"),
            (br#"{"command":"Stop"}"#, "unknown variant `Stop`"),
            (br#"{"command":"stop","now":true}"#, "unknown field `now`"),
            (br#"{"command":"cancel-all","venue":"main"}"#, "unknown field `venue`"),
            (br#"{"command":"pause","keep_orders":1}"#, "invalid type"),
            (br#"{"command":"pause","keep":true}"#, "unknown field `keep`"),
            (br#"{"command":"pause","keep_orders":true,"keep_orders":false}"#, "duplicate field"),
            (br#"{"command":"status","command":"stop"}"#, "duplicate field `command`"),
            (br#"{"command":"stop"} {"command":"stop"}"#, "trailing characters"),
            (br#"{"command":"stop""#, "EOF"),
            (b"{\"command\":\"st\xffop\"}", "invalid unicode"),
        ];
        for (line, why) in cases {
            let text = String::from_utf8_lossy(line);
            let refused = command(line).expect_err(&text);
            assert!(refused.contains(why) && refused.contains("nothing was done"), "{text}: {refused}");
        }
        assert!(command("[".repeat(60_000).as_bytes()).is_err(), "nesting is no way in");
    }
}
