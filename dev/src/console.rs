//! One terminal for several speakers.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
};

/// Colours that are readable on light and on dark: blue, magenta, cyan, yellow, green.
const COLOURS: [u8; 5] = [34, 35, 36, 33, 32];
/// Most names fit, so that what they say stands in one column from the start.
const WIDTH: usize = 7;

/// Prints lines, each with the name of who says it in front. Lines never mix.
#[derive(Debug)]
pub struct Console {
    colours: bool,
    speakers: Mutex<Vec<String>>,
}

impl Console {
    /// Standard output; in colours if it is a terminal and nobody set `NO_COLOR` (<https://no-color.org>).
    pub fn standard() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && io::stdout().is_terminal(), speakers: Mutex::default() }
    }

    /// Whether it prints in colours, and so may its speakers.
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// Prints a line for a speaker.
    pub fn say(&self, name: &str, line: &str) {
        if self.colours {
            let colour = COLOURS[self.number(name) % COLOURS.len()];
            print(&format!("\x1b[{colour}m{name:WIDTH$} |\x1b[0m {line}\n"));
        } else {
            print(&format!("{name:WIDTH$} | {line}\n"));
        }
    }

    /// Speakers are numbered as they begin to speak.
    fn number(&self, name: &str) -> usize {
        let mut speakers = self.speakers.lock().unwrap_or_else(PoisonError::into_inner);
        speakers.iter().position(|speaker| speaker == name).unwrap_or_else(|| {
            speakers.push(name.to_owned());
            speakers.len() - 1
        })
    }

    /// Prints a text as it is.
    pub fn show(&self, text: &str) {
        print(text);
    }

    /// The text in the foreground, if there are colours.
    pub fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The text in the background, if there are colours.
    pub fn dim(&self, text: &str) -> String {
        if self.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A terminal that was closed is no reason to fail: what is to be stopped must still be stopped.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
