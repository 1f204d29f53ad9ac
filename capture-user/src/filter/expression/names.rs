//! Names that libpcap would look up.
//!
//! libpcap asks the system's resolver (so DNS) for names of hosts, and `/etc/networks` and
//! `/etc/ethers`, or what is configured in their stead, for those of nets and Ethernet hosts. What a
//! name stands for is told by the qualifiers in front of it, or by the last ones before that:
//! `host a or b`. So they are followed here as libpcap's grammar follows them. Names of ports and
//! protocols come from files, and may stay.

use super::{
    error::{ExpressionError, shown},
    words::{Kind, Word},
};

/// What libpcap would do with a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Nothing of the network.
    Nothing,
    Host,
    Net,
    Ether,
    Gateway,
}

/// Refuses the first name that libpcap would look up.
pub(super) fn check(text: &str, words: &[Word]) -> Result<(), ExpressionError> {
    let mut asks = Asks::Nothing;
    let mut around = Vec::new();
    let mut before: Option<Kind> = None;
    let mut in_qualifiers = false;
    let mut link = false;
    for word in words {
        let joins = matches!(word.kind, Kind::And | Kind::Or);
        let qualifies = matches!(
            word.kind,
            Kind::Direction | Kind::Host | Kind::Net | Kind::Port | Kind::Proto | Kind::Gateway
        );
        if matches!(word.kind, Kind::Link | Kind::Protocol) {
            (in_qualifiers, link) = (true, word.kind == Kind::Link);
        } else if qualifies {
            link &= in_qualifiers;
            in_qualifiers = true;
        } else {
            // `src or dst host`
            in_qualifiers &= joins && before == Some(Kind::Direction);
        }
        match word.kind {
            Kind::Direction | Kind::Host => asks = if link { Asks::Ether } else { Asks::Host },
            Kind::Net => asks = Asks::Net,
            Kind::Gateway => asks = Asks::Gateway,
            Kind::Port | Kind::Proto | Kind::Link | Kind::Protocol => asks = Asks::Nothing,
            Kind::Keyword | Kind::Comparison | Kind::OpenBracket => asks = Asks::Nothing,
            Kind::Open => around.push(asks),
            Kind::Close => asks = around.pop().unwrap_or(Asks::Nothing),
            // Behind something else than these a name is an error of syntax, for which libpcap does
            // not look it up.
            Kind::Name if before.is_some_and(leads_to_operand) => refuse(text, *word, asks)?,
            _ => {}
        }
        before = Some(word.kind);
    }
    Ok(())
}

fn leads_to_operand(kind: Kind) -> bool {
    let qualifiers = matches!(kind, Kind::Direction | Kind::Host | Kind::Net | Kind::Gateway);
    qualifiers || matches!(kind, Kind::And | Kind::Or | Kind::Not | Kind::Open)
}

fn refuse(text: &str, word: Word, asks: Asks) -> Result<(), ExpressionError> {
    let name = shown(&text[word.start..word.end]);
    let colon = text[word.end..].starts_with(':');
    let message = match asks {
        Asks::Nothing => return Ok(()),
        Asks::Host if colon || looks_like_address(&name) => {
            format!("`{name}` is no address, and captured makes no DNS look-ups")
        }
        Asks::Host => {
            format!("`{name}` is a host name: captured makes no DNS look-ups, give its address")
        }
        Asks::Net => format!(
            "`{name}` is the name of a net: captured looks none up, give its address and length"
        ),
        Asks::Ether => format!(
            "`{name}` is a host name: captured looks up no Ethernet addresses, give it as \
             00:11:22:33:44:55"
        ),
        Asks::Gateway => format!(
            "`{name}` is a host name, which captured does not look up: instead of `gateway`, \
             write `ether host MAC and not host ADDRESS`"
        ),
    };
    Err(ExpressionError::at(text, word, message))
}

/// Digits, dots and the like: meant as an address, not as a name.
fn looks_like_address(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit() || b".-_".contains(&byte))
}
