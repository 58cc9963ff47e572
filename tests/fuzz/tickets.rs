//! Tickets and tokens have one form each.

use buzon::domain::access::ticket::{Ticket, TicketHolder, TicketKey};
use buzon::domain::access::token::{Token, TokenDigest, TokenId};
use buzon::domain::time::timestamp::Timestamp;
use proptest::prelude::*;

use super::hold;
use super::mutation::{edited, edits};

fn holder() -> impl Strategy<Value = TicketHolder> {
    prop_oneof![Just(TicketHolder::Owner), any::<i64>().prop_map(|id| TicketHolder::Token(TokenId(id)))]
}

#[test]
fn a_ticket_has_one_form_and_a_changed_one_is_refused() {
    let key = TicketKey::new("0123456789abcdef0123456789abcdef".to_owned().into());
    let now = 0..253_402_300_799_000_i64;
    hold(&(holder(), any::<[u8; 8]>(), now, edits()), |(holder, token, now, edits)| {
        let digest = TokenDigest::of(&token);
        let ticket = key.issue(holder, &digest, Timestamp::from_millis(now), None);
        let text = ticket.to_text();
        let read = Ticket::parse(&text);
        prop_assert!(read.is_some_and(|read| read == ticket), "{}", text);
        let changed = edited(text.clone().into_bytes(), &edits, &[text.clone().into_bytes()]);
        let changed = String::from_utf8_lossy(&changed).into_owned();
        let Some(read) = Ticket::parse(&changed) else { return Ok(()) };
        prop_assert_eq!(&read.to_text(), &changed);
        let too_early = Timestamp::from_millis(read.expires_at().millis().saturating_sub(305_001));
        prop_assert!(!key.admits(&read, &digest, too_early), "{} is valid for too long", changed);
        let before_its_end = Timestamp::from_millis(read.expires_at().millis().saturating_sub(1));
        prop_assert!(changed == text || !key.admits(&read, &digest, before_its_end), "{} for {}", changed, text);
        Ok(())
    });
}

#[test]
fn a_token_has_one_form_and_another_text_is_another_token() {
    hold(&(any::<[u8; 32]>(), edits()), |(random, edits)| {
        let token = Token::from_random(random);
        let text = token.expose().to_owned();
        let changed = edited(text.clone().into_bytes(), &edits, &[text.clone().into_bytes()]);
        let changed = String::from_utf8_lossy(&changed).into_owned();
        let Some(read) = Token::parse(&changed) else { return Ok(()) };
        prop_assert_eq!(read.expose(), &changed);
        prop_assert_eq!(read.digest() == token.digest(), changed == text);
        Ok(())
    });
}
