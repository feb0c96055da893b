//! Server-sent events, as a stream of bytes becomes them: names and data, within bounds.

/// Bytes of one line, and of one event's data: those of callhook have some 200.
const LINE_BYTES_MAX: usize = 64 * 1_024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// What was read of events that are not whole yet.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    event: ServerEvent,
    after_return: bool,
}

/// A line or an event without an end: not a server of callhook's.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl EventReader {
    /// Takes in what came; whole events go to `events`.
    pub fn take(&mut self, bytes: &[u8], events: &mut Vec<ServerEvent>) -> Result<(), TooLong> {
        for &byte in bytes {
            let ends_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if ends_return => {}
                b'\n' | b'\r' => self.end_line(events)?,
                _ if self.line.len() == LINE_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<ServerEvent>) -> Result<(), TooLong> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                events.push(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" if self.event.data.len() + value.len() > LINE_BYTES_MAX => return Err(TooLong),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment keeps the connection alive; ids and waits are not used here.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let event =
            |(name, data): &(&str, &str)| ServerEvent { name: (*name).to_owned(), data: (*data).to_owned() };
        let expected: Vec<ServerEvent> = expected.iter().map(event).collect();
        // However the bytes are cut.
        for size in [1, 2, 3, 7, 1_000] {
            let (mut reader, mut events) = (EventReader::default(), Vec::new());
            for chunk in text.as_bytes().chunks(size) {
                reader.take(chunk, &mut events).unwrap();
            }
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn events_are_read_whatever_the_ends_of_their_lines() {
        check("event: delivery\ndata: {\"a\":1}\n\n", &[("delivery", "{\"a\":1}")]);
        check(
            "event: delivery\r\ndata: x\r\n\r\nevent: lagged\r\ndata: {}\r\n\r\n",
            &[("delivery", "x"), ("lagged", "{}")],
        );
        check("event:delivery\rdata:x\r\r", &[("delivery", "x")]);
        check(": comment\n\n\nid: 7\nretry: 10\nunknown\ndata: a\ndata: b\n\n", &[("", "a\nb")]);
        check("event: delivery\ndata: not whole\n", &[]);
        check("event: nothing said\n\ndata: é\n\n", &[("", "é")]);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let mut reader = EventReader::default();
        assert_eq!(reader.take(&vec![b'x'; LINE_BYTES_MAX + 1], &mut Vec::new()), Err(TooLong));
        let mut reader = EventReader::default();
        let line = format!("data: {}\n", "x".repeat(1_000));
        let mut taken = (0..100).map(|_| reader.take(line.as_bytes(), &mut Vec::new()));
        assert!(taken.any(|taken| taken == Err(TooLong)));
    }
}
