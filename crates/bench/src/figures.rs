//! What many measurements come to: percentiles of one round, the median of several.

use std::fmt;
use std::time::Duration;

/// Times in order, in milliseconds. What came before its time has a negative one.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Of these, in any order.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::of_ms(times.into_iter().map(|time| time.as_secs_f64() * 1_000.0))
    }

    /// Of these milliseconds, in any order.
    pub fn of_ms(times: impl IntoIterator<Item = f64>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable_by(f64::total_cmp);
        Self(times)
    }

    /// The time that this share (0 to 1) of all does not exceed; not a number where there is none.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let Some(last) = self.0.len().checked_sub(1) else { return f64::NAN };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into some million times"
        )]
        let rank = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, last + 1) - 1;
        self.0[rank]
    }

    /// The shortest; not a number where there is none.
    pub fn least_ms(&self) -> f64 {
        self.percentile_ms(0.0)
    }
}

/// One figure in several rounds.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds a round's.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// This against the other, round by round.
    pub fn ratio(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect())
    }
}

impl From<f64> for Rounds {
    /// The figure of a single round.
    fn from(figure: f64) -> Self {
        Self(vec![figure])
    }
}

impl fmt::Display for Rounds {
    /// The median, and the range where there are several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rounded(self.median()))?;
        if self.0.len() < 2 {
            return Ok(());
        }
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        write!(f, " ({}–{})", rounded(least), rounded(most))
    }
}

/// Three significant figures, thousands apart.
pub fn rounded(figure: f64) -> String {
    if !figure.is_finite() {
        return "–".to_owned();
    }
    match figure.abs() {
        size if size >= 1_000.0 => grouped(figure),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers of milliseconds")]
    fn percentiles_are_times_that_were_measured() {
        let times = Times::of((1..=100).rev().map(Duration::from_millis));
        for (share, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(times.percentile_ms(share), expected, "{share}");
        }
        assert_eq!(Times::of_ms([2.0, -1.0]).least_ms(), -1.0);
        assert!(Times::default().percentile_ms(0.5).is_nan());
    }

    #[test]
    fn rounds_show_their_median_and_range() {
        let rounds = |figures: &[f64]| Rounds(figures.to_vec());
        assert_eq!(rounds(&[3.0, 1.0, 2.0]).to_string(), "2.00 (1.00–3.00)");
        assert_eq!(rounds(&[1.0, 2.0]).median().to_string(), "1.5");
        assert_eq!(rounds(&[12_345.6]).to_string(), "12,346");
        assert_eq!(rounds(&[]).to_string(), "–");
        assert_eq!(rounds(&[1.0, 4.0]).ratio(&rounds(&[2.0, 4.0])).to_string(), "0.750 (0.500–1.00)");
    }
}
