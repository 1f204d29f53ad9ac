//! Waiting for something to become true.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks every 10 ms until `look` gives a value.
///
/// # Errors
/// `look` failed, or `limit` went by first; the message says what was waited for.
pub fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {} s in vain for {what}", limit.as_secs_f64());
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_value_when_it_is_there() {
        let mut looks = 0;
        let value = wait_until(Duration::from_secs(5), "the third look", || {
            looks += 1;
            Ok((looks == 3).then_some("there"))
        });
        assert_eq!((value.unwrap(), looks), ("there", 3));
    }

    #[test]
    fn says_what_did_not_come() {
        let never = wait_until::<()>(Duration::from_millis(20), "the bus", || Ok(None));
        assert!(never.unwrap_err().to_string().ends_with("in vain for the bus"));
    }
}
