//! A prompt for a secret.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest line in bytes.
const LONGEST: u64 = 4_096;

/// Asks for a line at the terminal, without echo.
pub(super) fn hidden(question: &str) -> io::Result<String> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let no_echo = NoEcho::begin(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new((&terminal).take(LONGEST)).read_line(&mut line)?;
    drop(no_echo);
    writeln!(&terminal)?;
    Ok(line)
}

/// A terminal without echo. The echo is switched on again when this is dropped.
struct NoEcho<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> NoEcho<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for NoEcho<'_> {
    fn drop(&mut self) {
        // An error means that the terminal has gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
