//! The default kind: the payload as JSON, signed.

use super::Outgoing;
use crate::sender::Request;

/// The request of one attempt.
#[must_use]
pub fn request(outgoing: &Outgoing<'_>) -> Request {
    let Outgoing { destination, url, body, delivery_id, attempt, sent_at, test } = *outgoing;
    Request {
        url: url.clone(),
        headers: destination.settings.headers.clone(),
        body: body.stamped(sent_at, delivery_id, attempt).into(),
        content_type: "application/json",
        delivery_id: delivery_id.to_string(),
        sent_at,
        signing: destination.signing.valid_at(sent_at).cloned().collect(),
        test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::signature;
    use domain::Timestamp;
    use domain::destination::{Destination, DestinationSettings, DestinationUrl, HeaderList, SigningSecrets};
    use domain::id::{BusinessId, CallFlowId, DeliveryId, DestinationId};
    use domain::payload::FrozenBody;

    #[test]
    fn an_attempt_carries_the_frozen_body_with_its_stamp_and_every_valid_secret() {
        let sent_at: Timestamp = "2026-03-30T14:30:05.700Z".parse().unwrap();
        let until = Timestamp::from_millis(sent_at.as_millis() + 1);
        let headers = HeaderList::new(vec![("X-Token".into(), "hunter2".into())]).unwrap();
        let mut destination = Destination {
            id: DestinationId::from_bytes([1; 16]),
            business_id: BusinessId::from_bytes([2; 16]),
            call_flow_id: CallFlowId::from_bytes([3; 16]),
            settings: DestinationSettings { headers: headers.clone(), ..Default::default() },
            signing: SigningSecrets {
                current: signature::generate([1; 32]),
                previous: Some((signature::generate([2; 32]), until)),
            },
        };
        let url = DestinationUrl::parse("https://hooks.example.com/x").unwrap();
        let body = FrozenBody::from_bytes(br#"{"event":"call.completed""#.to_vec());
        let delivery_id = DeliveryId::from_bytes([4; 16]);
        let made = |destination: &Destination, sent_at| {
            request(&Outgoing {
                destination,
                url: &url,
                body: &body,
                delivery_id,
                attempt: 2,
                sent_at,
                test: true,
            })
        };

        let sent = made(&destination, sent_at);
        assert_eq!(
            std::str::from_utf8(&sent.body).unwrap(),
            "{\"event\":\"call.completed\",\"webhook_sent_at\":\"2026-03-30T14:30:05Z\",\
             \"delivery_id\":\"04040404-0404-0404-0404-040404040404\",\"attempt\":2}"
        );
        assert_eq!(
            (sent.url.clone(), sent.headers, sent.content_type),
            (url.clone(), headers, "application/json")
        );
        assert_eq!((sent.delivery_id.as_str(), sent.test), ("04040404-0404-0404-0404-040404040404", true));
        assert_eq!(sent.signing.len(), 2);
        assert_eq!(made(&destination, until).signing, [destination.signing.current.clone()]);
        destination.signing.previous = None;
        assert_eq!(made(&destination, sent_at).signing, [destination.signing.current.clone()]);
    }
}
