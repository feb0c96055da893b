//! A failure by its code in a few words: for a row of a table, where the whole sentence has no room.

/// `http_401` is "401 refused access", `dns` is "name not found"; a code that is not known stands as it is.
#[must_use]
pub fn brief(code: &str) -> String {
    if let Some(status) = code.strip_prefix("http_") {
        return format!("{status} {}", status_words(status.parse().unwrap_or_default()));
    }
    let words = match code {
        "timeout" => "no answer in time",
        "dns" => "name not found",
        "connect" => "no connection",
        "tls" => "no safe encryption",
        "redirect_limit" => "too many redirects",
        "redirect_refused" => "redirect not followed",
        "blocked_address" => "not a public address",
        "protocol" => "the answer was not HTTP",
        other => other,
    };
    words.to_owned()
}

const fn status_words(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects to nowhere",
        400 | 422 => "refused the data",
        401 | 403 => "refused access",
        404 | 410 => "no such address",
        405 => "does not take POST",
        406 | 415 => "does not take JSON",
        407 => "a proxy asks for a password",
        408 => "gave up waiting",
        409 => "conflicts with what it has",
        413 => "body too large",
        429 => "asks for fewer requests",
        503 => "refuses work",
        502 | 504 => "server behind it not reached",
        500..=599 => "error of its own",
        400..=499 => "refused the request",
        _ => "neither yes nor no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_in_a_few_words() {
        let check = |code: &str, expected: &str| assert_eq!(brief(code), expected);
        check("http_401", "401 refused access");
        check("http_500", "500 error of its own");
        check("http_418", "418 refused the request");
        check("dns", "name not found");
        check("of_tomorrow", "of_tomorrow");
    }
}
