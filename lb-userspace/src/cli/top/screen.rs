//! The whole terminal.

use std::time::{Duration, Instant};

use ratatui::{
    Frame,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Modifier, Style},
    text::Line,
    widgets::{Row, Table, TableState},
};

use super::{
    Stop,
    args::{Sort, TopArgs},
    plain::{COLUMNS, summary},
    rates::Rates,
    reading::Reading,
};
use crate::{cli::CliError, dataplane::pinned::Pinned};

/// How often signals and keys are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Shows rates until a key or a signal ends it. The terminal is given back in any case: `ratatui` does so before a panic
/// is told, too.
pub(super) fn run(pinned: &Pinned, args: &TopArgs, first: Reading, stop: &Stop) -> Result<(), CliError> {
    let mut terminal = ratatui::try_init()?;
    let result = Screen::new(args).follow(&mut terminal, pinned, first, stop);
    ratatui::restore();
    result
}

struct Screen<'a> {
    args: &'a TopArgs,
    sort: Sort,
    rates: Rates,
    table: TableState,
}

impl<'a> Screen<'a> {
    fn new(args: &'a TopArgs) -> Self {
        Self { args, sort: args.sort, rates: Rates::default(), table: TableState::default() }
    }

    fn follow(
        &mut self,
        terminal: &mut ratatui::DefaultTerminal,
        pinned: &Pinned,
        mut before: Reading,
        stop: &Stop,
    ) -> Result<(), CliError> {
        let mut next = Instant::now() + self.args.interval;
        self.rates = Rates::between(&before, &before);
        while !stop.is_asked_for() {
            terminal.draw(|frame| self.draw(frame))?;
            if event::poll(next.saturating_duration_since(Instant::now()).min(LOOK))?
                && let Event::Key(key) = event::read()?
                && self.ends(key)
            {
                break;
            }
            if Instant::now() >= next {
                let after = Reading::take(pinned)?;
                self.rates = Rates::between(&before, &after);
                before = after;
                next = Instant::now() + self.args.interval;
            }
        }
        Ok(())
    }

    /// Heeds a key; true for one that ends.
    fn ends(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Down => self.table.select_next(),
            KeyCode::Up => self.table.select_previous(),
            KeyCode::Char(key) => self.sort = Sort::by_key(key).unwrap_or(self.sort),
            _ => {}
        }
        false
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(Line::from(format!("sluice top: {}", summary(&self.rates))), head);
        let columns = &COLUMNS[usize::from(!self.args.all_namespaces)..];
        let rows = self.rates.rows(self.args.shown_namespace(), self.sort);
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row)).collect()).collect();
        let widths = columns.iter().enumerate().map(|(index, (header, _))| {
            let widest = cells.iter().map(|row| row[index].chars().count()).max().unwrap_or_default();
            Constraint::Length(u16::try_from(widest.max(header.len())).unwrap_or(u16::MAX))
        });
        let table = Table::new(cells.iter().map(|row| Row::new(row.iter().map(String::as_str))), widths)
            .header(
                Row::new(columns.iter().map(|(header, _)| *header))
                    .style(Style::new().add_modifier(Modifier::REVERSED)),
            )
            .row_highlight_style(Style::new().add_modifier(Modifier::BOLD))
            .column_spacing(2);
        frame.render_stateful_widget(table, body, &mut self.table);
        let help = "q ends; sort by p packets, b bytes, r replies, n new flows, d drops, f flows, e endpoints, a name";
        frame.render_widget(Line::from(help), foot);
    }
}
