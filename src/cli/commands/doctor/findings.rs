//! What `doctor` has seen, as lines of a page. Pure.
//!
//! Always holds: prose fits the width of the page; a command to run is never broken into two lines.

/// Columns of the page.
pub(super) const WIDTH: usize = 100;
/// Where the text of a row begins.
const TEXT_COLUMN: usize = 18;
/// The columns of the table of causes: cause, who cancels, how long nobody watches.
const COLUMNS: [usize; 3] = [27, 41, 26];

/// Something that is wrong, and its mend.
struct Problem {
    what: String,
    mend: String,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Findings {
    lines: Vec<String>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Findings {
    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.lines.push(text.trim_end().to_owned());
    }

    /// A title and what there is to say about it.
    pub(super) fn row(&mut self, title: &str, text: &str) {
        let room = WIDTH - TEXT_COLUMN;
        for (number, part) in wrapped(text, room).into_iter().enumerate() {
            let title = if number == 0 { title } else { "" };
            self.line(&format!("  {title:<15} {part}"));
        }
    }

    /// The head of a chapter.
    pub(super) fn head(&mut self, title: &str) {
        self.lines.push(String::new());
        self.line(title);
    }

    /// Prose below a head.
    pub(super) fn prose(&mut self, text: &str) {
        for part in wrapped(text, WIDTH - 2) {
            self.line(&format!("  {part}"));
        }
    }

    /// Something is wrong.
    pub(super) fn problem(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem { what: what.into(), mend: mend.into() });
    }

    /// Allowed, but worth a word.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Whether nothing is wrong.
    pub(super) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// Rows of three cells.
    pub(super) fn table(&mut self, heads: [&str; 3], rows: &[[String; 3]]) {
        self.cells(&heads.map(str::to_owned));
        self.line(&format!("  {}", COLUMNS.map(|width| "-".repeat(width)).join("  ")));
        for row in rows {
            self.cells(row);
        }
    }

    fn cells(&mut self, cells: &[String; 3]) {
        let columns: Vec<Vec<String>> = cells.iter().zip(COLUMNS).map(|(text, width)| wrapped(text, width)).collect();
        for number in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (column, width) in columns.iter().zip(COLUMNS) {
                let part = column.get(number).map_or("", String::as_str);
                line.push_str(&format!("  {part:<width$}"));
            }
            self.line(&line);
        }
    }

    /// The page, with notes and problems at its end.
    pub(super) fn page(mut self) -> String {
        let notes = std::mem::take(&mut self.notes);
        if !notes.is_empty() {
            self.head("Notes");
        }
        for note in notes {
            self.listed("  - ", &note);
        }
        let problems = std::mem::take(&mut self.problems);
        match problems.len() {
            0 => self.head("No problems found."),
            1 => self.head("One problem:"),
            count => self.head(&format!("{count} problems:")),
        }
        for (number, problem) in problems.into_iter().enumerate() {
            self.listed(&format!("  {}. ", number + 1), &problem.what);
            if !problem.mend.is_empty() {
                self.listed("     Mend: ", &problem.mend);
            }
        }
        self.lines.join("\n")
    }

    /// A text behind a mark; what follows stands below its beginning.
    fn listed(&mut self, mark: &str, text: &str) {
        let indent = mark.chars().count();
        let mut before = mark.to_owned();
        for part in text.lines() {
            let words = part.trim_start();
            let indent = indent + part.len() - words.len();
            let is_command = words.starts_with("chmod ") || words.starts_with("chown ");
            let room = if is_command { usize::MAX } else { WIDTH.saturating_sub(indent) };
            for part in wrapped(words, room) {
                self.line(&format!("{before:<indent$}{part}"));
                before.clear();
            }
        }
    }
}

/// The text in lines of at most so many characters. A longer word stays whole.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.lines() {
        let mut line = String::new();
        for word in part.split(' ') {
            let wanted = line.chars().count() + word.chars().count() + 1;
            if !line.is_empty() && wanted > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    if lines.is_empty() { vec![String::new()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_as_wide_as_the_page_and_no_wider() {
        assert!(COLUMNS.iter().map(|width| width + 2).sum::<usize>() <= WIDTH);
    }

    #[test]
    fn prose_is_wrapped_and_a_command_is_not() {
        let mut findings = Findings::default();
        let long = "word ".repeat(60);
        let command = format!("chmod 600 /{}", "x".repeat(120));
        findings.row("title", &long);
        findings.note(long.clone());
        findings.problem(long.clone(), command.clone());
        findings.problem(format!("first\n    {long}"), long.clone());
        findings.table(["a", "b", "c"], &[[long.clone(), "short".to_owned(), long.clone()]]);
        let page = findings.page();
        let wide: Vec<&str> = page.lines().filter(|line| line.chars().count() > WIDTH).collect();
        assert_eq!(wide, [format!("     Mend: {command}")]);
        assert_eq!(page.matches("word").count(), 60 * 7);
        assert!(page.contains("2 problems:"));
    }
}
