//! An answer that costs much and is given again for a while; who asks while one is awaited shares it.

use domain::Timestamp;
use std::time::Duration;
use tokio::sync::Mutex;

/// The last answer, with its time.
pub struct Kept<T> {
    answer: Mutex<Option<(Timestamp, T)>>,
    kept_for: Duration,
}

impl<T: Clone> Kept<T> {
    /// Nothing is kept yet.
    pub fn new(kept_for: Duration) -> Self {
        Self { answer: Mutex::new(None), kept_for }
    }

    /// The answer that is kept, or a new one.
    pub async fn answer(&self, now: impl Fn() -> Timestamp, ask: impl AsyncFnOnce() -> T) -> T {
        let mut kept = self.answer.lock().await;
        // A clock that was set back must not keep an answer for longer.
        let is_fresh = |at: Timestamp| (at..at.after(self.kept_for)).contains(&now());
        if let Some((at, answer)) = &*kept
            && is_fresh(*at)
        {
            return answer.clone();
        }
        let answer = ask().await;
        *kept = Some((now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_kept_for_its_time() {
        let kept = Kept::new(Duration::from_secs(1));
        let mut asked = 0;
        for (now_ms, answer, expected_asked) in
            [(5_000, true, 1), (5_999, true, 1), (6_000, false, 2), (6_500, false, 2), (5_900, true, 3)]
        {
            let ask = async || {
                asked += 1;
                answer
            };
            let got = kept.answer(|| Timestamp::from_millis(now_ms), ask).await;
            assert_eq!((got, asked), (answer, expected_asked), "at {now_ms}");
        }
    }
}
