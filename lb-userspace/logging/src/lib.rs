//! Logs on standard error: `key=value` for people, JSON for collectors, at a level that is changed while the program runs.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed assumption is a failed test"))]

use std::{
    env,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// What is logged where nobody says otherwise.
const DEFAULT: &str = "info";

/// Why a text is no level.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LevelError {
    /// Nothing.
    #[error("no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas")]
    Empty,
    /// A word that is no level; the filter would take it for a target, and silence all others.
    #[error("`{word}` is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL")]
    Word {
        /// The word.
        word: String,
    },
    /// What the filter does not understand.
    #[error("`{text}` is no log filter: {reason}")]
    Filter {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging has ended, or another program part has taken it over.
    #[error("logging was started by somebody else; its level cannot be changed here")]
    Gone,
}

/// The level at which this program logs.
#[derive(Clone, Debug)]
pub struct Level {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

/// Starts logging. `SLUICE_LOG`, else `RUST_LOG`, chooses what is logged; `SLUICE_LOG_FORMAT` is `text` or `json`, else text
/// goes to a terminal and JSON elsewhere.
pub fn start() -> Level {
    let text = env::var("SLUICE_LOG").or_else(|_| env::var("RUST_LOG")).unwrap_or_default();
    let (text, filter) = match parse(&text) {
        Ok(filter) => (text.trim().to_owned(), filter),
        Err(LevelError::Empty) => (DEFAULT.to_owned(), EnvFilter::new(DEFAULT)),
        Err(error) => {
            eprintln!("warning: {error}; using `{DEFAULT}`");
            (DEFAULT.to_owned(), EnvFilter::new(DEFAULT))
        }
    };
    let (filter, handle) = reload::Layer::new(filter);
    let json = match env::var("SLUICE_LOG_FORMAT").as_deref() {
        Ok("json") => true,
        Ok("text") => false,
        _ => !io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    // Colours are for eyes: `text` in a file or a journal has none. NO_COLOR counts too (no-color.org).
    let lines = if io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // Fails only where a subscriber was set before: then logs go there.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Level { handle, text: Arc::new(Mutex::new(text)) }
}

impl Level {
    /// What is logged now.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is logged.
    ///
    /// # Errors
    /// Where the text is no level; everything stays as it was.
    pub fn set(&self, text: &str) -> Result<(), LevelError> {
        let filter = parse(text)?;
        let mut current = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(|_| LevelError::Gone)?;
        tracing::info!(from = %current, to = text.trim(), "the log level was changed");
        text.trim().clone_into(&mut current);
        Ok(())
    }
}

fn parse(text: &str) -> Result<EnvFilter, LevelError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(LevelError::Empty);
    }
    // Spans may have commas and equals signs of their own.
    for word in text.split(',').map(str::trim).filter(|_| !text.contains('[')) {
        let level = word.split_once('=').map_or(word, |(_, level)| level);
        // An empty one would be `error`.
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(LevelError::Word { word: word.to_owned() });
        }
    }
    let wrong = |error: tracing_subscriber::filter::ParseError| LevelError::Filter {
        text: text.to_owned(),
        reason: error.to_string(),
    };
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_with_levels_are_taken() {
        for text in
            ["debug", " warn\n", "info,lb_sources=debug", "off", "INFO", "lb_sources::kube=trace,error"]
        {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_level_is_named() {
        for (text, hint) in [
            ("", "no level"),
            ("verbose", "`verbose` is no level"),
            ("info,loud", "`loud` is no level"),
            ("lb_sources=loud", "`lb_sources=loud` is no level"),
            ("debug,", "`` is no level"),
        ] {
            let error = parse(text).err().unwrap().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_level_that_is_none_leaves_the_one_before() {
        let level = start();
        level.set("debug").unwrap();
        assert!(level.set("verbose").is_err());
        assert_eq!(level.get(), "debug");
        level.set(" warn ").unwrap();
        assert_eq!(level.get(), "warn");
    }
}
