//! A name server on loopback, over UDP and TCP, whose zone a test changes while it runs.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What is asked for: a name and a kind of record.
type Asked = (String, RecordType);

/// A running name server.
pub(super) struct Names {
    /// Where it is, over UDP and TCP.
    pub(super) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    records: HashMap<Asked, Vec<RData>>,
    ttl: u32,
    /// What is answered to everything in the place of the records.
    broken: Option<ResponseCode>,
}

impl Names {
    pub(super) fn start(ttl: u32) -> Self {
        let (udp, tcp) = sockets();
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { ttl, ..Zone::default() }));
        let (one, two) = (zone.clone(), zone.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let answer = answer(&one, &buffer[..length]);
                let whole = answer.to_vec().unwrap();
                // Too long for a datagram: the client asks again over TCP.
                let sent = if whole.len() > 1_200 { answer.truncate().to_vec().unwrap() } else { whole };
                let _ = udp.send_to(&sent, from);
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let zone = two.clone();
                std::thread::spawn(move || serve(stream, &zone));
            }
        });
        Self { address, zone }
    }

    /// What a name has from now on.
    pub(super) fn set(&self, name: &str, kind: RecordType, records: impl IntoIterator<Item = RData>) {
        let key = (name.to_owned(), kind);
        self.zone.lock().unwrap().records.insert(key, records.into_iter().collect());
    }

    /// Addresses of a name.
    pub(super) fn addresses(&self, name: &str, addresses: &[&str]) {
        let a = addresses.iter().map(|address| RData::A(address.parse::<std::net::Ipv4Addr>().unwrap().into()));
        self.set(name, RecordType::A, a);
    }

    /// Answers everything with this code, or with what there is.
    pub(super) fn breaks(&self, code: Option<ResponseCode>) {
        self.zone.lock().unwrap().broken = code;
    }
}

/// A port that is free for both.
fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP");
}

fn serve(mut stream: TcpStream, zone: &Mutex<Zone>) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    loop {
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut asked).unwrap();
        let answer = answer(zone, &asked).to_vec().unwrap();
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

fn answer(zone: &Mutex<Zone>, asked: &[u8]) -> Message {
    let asked = Message::from_vec(asked).unwrap();
    let mut answer = Message::response(asked.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let query = asked.queries[0].clone();
    let name: Name = query.name().clone();
    let key = (name.to_utf8().trim_end_matches('.').to_ascii_lowercase(), query.query_type());
    answer.add_query(query);
    let zone = zone.lock().unwrap();
    match (zone.broken, zone.records.get(&key)) {
        (Some(code), _) => answer.metadata.response_code = code,
        (None, Some(records)) => {
            for record in records {
                answer.add_answer(Record::from_rdata(name.clone(), zone.ttl, record.clone()));
            }
        }
        (None, None) if zone.records.keys().any(|(known, _)| *known == key.0) => {}
        (None, None) => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer
}
