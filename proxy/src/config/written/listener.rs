//! How a listener's address, and networks of peers, are written.

use std::net::SocketAddr;

use super::{Written, one_of};
use crate::config::model::{Address, ClientHeader};

/// A listener's address; a Unix socket's file is not joined to the configuration's folder yet.
#[derive(Debug, Clone)]
pub(in crate::config) struct At(pub(in crate::config) Address);

impl Written for At {
    const WHAT: &'static str = "an IP address and a port, as in `127.0.0.1:8080`, or `unix:PATH`";

    fn read(text: &str) -> Result<Self, String> {
        // sun_path has 108 bytes, and one of them is the zero at its end (unix(7)).
        const LONGEST: usize = 107;
        match text.strip_prefix("unix:") {
            None => SocketAddr::read(text).map(|address| Self(Address::Ip(address))),
            Some(path) if path.is_empty() || path.starts_with("//") || path.contains('\0') => {
                Err("`unix:` takes a path\nwrite `unix:folder/name`, or `unix:/folder/name` from the root".to_owned())
            }
            Some(path) if path.len() > LONGEST => {
                Err(format!("the path of a Unix socket has {LONGEST} bytes at most, and this one {}", path.len()))
            }
            Some(path) => Ok(Self(Address::Unix(path.into()))),
        }
    }
}

/// The permissions of a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Mode(pub(in crate::config) u32);

impl Written for Mode {
    const WHAT: &'static str = "permissions in octal, in quotes, as in `\"0660\"`";

    fn read(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no file's permissions\nwrite them in octal and in quotes, as in `\"0660\"`");
        let digits = text.len() == 4 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(wrong());
        }
        u32::from_str_radix(text, 8).map(Self).map_err(|_| wrong())
    }
}

words! {
    ClientHeader, "`x-forwarded-for` or `forwarded`":
        "x-forwarded-for" => Self::XForwardedFor, "forwarded" => Self::Forwarded;
}
