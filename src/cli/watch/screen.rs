//! Where the table goes: drawn in place in a terminal, else a line for each change.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, StdoutLock, Write};

use super::show;
use crate::cli::terminal::visible;
use crate::group::Row;

/// Another page, with lines cut at its edge; and back to the first one.
const ENTER: &str = "\x1b[?1049h\x1b[?7l\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_TO_END_OF_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Standard output.
pub enum Screen {
    /// A terminal, which is given back when this is dropped.
    Terminal(Terminal),
    /// A pipe or a file.
    Lines(Lines),
}

impl Screen {
    /// What standard output is.
    ///
    /// # Errors
    /// When nothing can be written to it.
    pub fn of_stdout() -> io::Result<Self> {
        let output = io::stdout();
        if !output.is_terminal() {
            return Ok(Self::Lines(Lines::default()));
        }
        output.lock().write_all(ENTER.as_bytes())?;
        Ok(Self::Terminal(Terminal))
    }

    /// Shows the present state. `trouble`: what is wrong with the link.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn show(&mut self, rows: &[Row], is_full: bool, trouble: Option<&str>) -> io::Result<()> {
        let mut output = io::stdout().lock();
        match self {
            Self::Terminal(terminal) => terminal.draw(&mut output, &show::table(rows, is_full, trouble))?,
            Self::Lines(lines) => {
                let time = chrono::Local::now().format("%H:%M:%S");
                for line in lines.news(rows, trouble) {
                    writeln!(output, "{time} {line}")?;
                }
            }
        }
        output.flush()
    }
}

/// A terminal with our page on it.
pub struct Terminal;

impl Terminal {
    fn draw(&self, output: &mut StdoutLock<'_>, lines: &[String]) -> io::Result<()> {
        let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
        write!(output, "{HOME}")?;
        for (at, line) in that_fit(lines, height).iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\r\n" };
            write!(output, "{line_break}{line}{CLEAR_TO_END_OF_LINE}")?;
        }
        write!(output, "{CLEAR_BELOW}")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut output = io::stdout().lock();
        let _ = output.write_all(LEAVE.as_bytes()).and_then(|()| output.flush());
    }
}

/// The lines that a page of this height has room for; the last one says how many are left out.
fn that_fit(lines: &[String], height: usize) -> Vec<String> {
    if lines.len() <= height {
        return lines.to_vec();
    }
    let shown = height.saturating_sub(1);
    let mut fitting = lines[..shown].to_vec();
    fitting.push(format!("… {} more; make the window higher", lines.len() - shown));
    fitting
}

/// What was told so far, by service and instance.
#[derive(Debug, Default)]
pub struct Lines {
    told: BTreeMap<(String, Option<String>), String>,
    trouble: Option<String>,
}

impl Lines {
    /// What is new since the last time.
    fn news(&mut self, rows: &[Row], trouble: Option<&str>) -> Vec<String> {
        let mut news = Vec::new();
        if self.trouble.as_deref() != trouble {
            news.push(match trouble {
                Some(why) => format!("no link to NATS: {}", visible(why)),
                None => "connected to NATS".to_owned(),
            });
            self.trouble = trouble.map(str::to_owned);
        }
        let key = |row: &Row| (row.service.clone(), row.report.instance_id.clone());
        for row in rows {
            let line = show::line(row);
            if self.told.get(&key(row)) != Some(&line) {
                news.push(line.clone());
                self.told.insert(key(row), line);
            }
        }
        // Who is no longer shown is forgotten, so that this grows no longer than the table.
        self.told.retain(|told, _| rows.iter().any(|row| key(row) == *told));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::wire::ServiceReport;
    use crate::group::Standing;

    fn row(service: &str, standing: Standing) -> Row {
        Row {
            service: service.to_owned(),
            standing,
            beat_age: Some(std::time::Duration::from_secs(1)),
            report: ServiceReport::default(),
            is_expected: false,
        }
    }

    #[test]
    fn a_pipe_gets_a_line_for_each_change_and_none_for_an_age() {
        let mut lines = Lines::default();
        let healthy = row("llm", Standing::Healthy);
        assert_eq!(lines.news(std::slice::from_ref(&healthy), None), ["llm healthy"]);
        let older = Row { beat_age: Some(std::time::Duration::from_secs(9)), ..healthy.clone() };
        assert_eq!(lines.news(&[older], None), [""; 0]);
        let both = [healthy, row("robot", Standing::Announced)];
        assert_eq!(lines.news(&both, Some("refused")), ["no link to NATS: refused", "robot announced"]);
        assert_eq!(lines.news(&both, None), ["connected to NATS"]);
        assert_eq!(lines.news(&both[1..], None), [""; 0]);
        assert_eq!(lines.told.len(), 1);
        assert_eq!(lines.news(&both, None), ["llm healthy"]);
    }

    #[test]
    fn a_low_page_says_how_much_it_leaves_out() {
        let lines: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
        assert_eq!(that_fit(&lines, 5), lines);
        assert_eq!(that_fit(&lines, 3), ["1", "2", "… 3 more; make the window higher"]);
        assert_eq!(that_fit(&lines, 0).len(), 1);
    }
}
