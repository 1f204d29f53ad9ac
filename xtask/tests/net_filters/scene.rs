//! What passes the gateway's outer interface in every round: real programs and frames made by hand.

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use xtask::lab::{
    HttpServer, Namespace, Routed, http,
    routed::{GATEWAY_OUTSIDE, SERVER_V4, SERVER_V6},
    wait_until,
};

use crate::{made, traffic::write_pcap};

const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing is under way any more when nothing came or went for so long.
const QUIET: Duration = Duration::from_millis(30);

/// Web requests, of which one is refused; echoes, of which one does not get further than the gateway.
const CLIENT: &str = "
get() { curl -q --silent --globoff --noproxy '*' --max-time 5 --output /dev/null \"$1\"; }
get http://203.0.113.2/ && get 'http://[2001:db8:3::2]/' || exit
get http://203.0.113.2:81/ && exit 1
ping -n -q -c 2 -i 0.002 203.0.113.2 && ping -n -q -c 1 -s 900 2001:db8:3::2 || exit
ping -n -q -c 1 -W 1 -t 2 203.0.113.2 && exit 1
exit 0";

/// The lab with its servers, and files of the frames made by hand.
pub struct Scene<'a> {
    lab: &'a Routed,
    inbound: PathBuf,
    outbound: PathBuf,
    tagged: [PathBuf; 2],
    _web: HttpServer,
    names: [UdpSocket; 2],
}

impl<'a> Scene<'a> {
    pub fn new(lab: &'a Routed, directory: &Path) -> Self {
        let site = directory.join("site");
        std::fs::create_dir(&site).unwrap();
        http::write_site(&site, 0).unwrap();
        let file = |name, frames: Vec<Vec<u8>>| {
            let path = directory.join(name);
            write_pcap(&path, frames.into_iter());
            path
        };
        let bind = |address| lab.server.enter(|| UdpSocket::bind((address, 53))).unwrap().unwrap();
        Self {
            lab,
            inbound: file("inbound.pcap", made::inbound()),
            outbound: file("outbound.pcap", made::outbound()),
            tagged: [
                file("tagged_in.pcap", made::tagged(made::ISP_MAC)),
                file("tagged_out.pcap", made::tagged(made::GATEWAY_MAC)),
            ],
            _web: HttpServer::start(&lab.server, &site, 80).unwrap(),
            names: [bind("203.0.113.2"), bind("2001:db8:3::2")],
        }
    }

    /// All of it once; returns when nothing more comes, and how many frames passed.
    pub fn play(&self, with_tags: bool) -> u64 {
        let before = self.passed();
        thread::scope(|scope| {
            scope.spawn(|| shell(&self.lab.client, CLIENT));
            self.ask_names();
            self.replay(&self.lab.isp, "isp1", &self.inbound);
            self.replay(&self.lab.gateway, GATEWAY_OUTSIDE, &self.outbound);
            if with_tags {
                self.replay(&self.lab.isp, "isp1", &self.tagged[0]);
                self.replay(&self.lab.gateway, GATEWAY_OUTSIDE, &self.tagged[1]);
            }
        });
        let mut last = self.passed();
        wait_until(PATIENCE, "the gateway to be quiet", || {
            thread::sleep(QUIET);
            let now = self.passed();
            Ok((std::mem::replace(&mut last, now) == now).then_some(now))
        })
        .unwrap()
            - before
    }

    /// Asks and answers over IPv4 and IPv6; sends one datagram in fragments, and one to a closed port.
    fn ask_names(&self) {
        let addresses = [SERVER_V4.into(), SERVER_V6.into()];
        let client = |any: &str| self.lab.client.enter(|| UdpSocket::bind((any, 0))).unwrap();
        for ((any, address), server) in ["0.0.0.0", "::"].iter().zip(addresses).zip(&self.names) {
            let client = client(any).unwrap();
            let to = std::net::SocketAddr::new(address, 53);
            client
                .send_to(b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01", to)
                .unwrap();
            let mut query = [0; 512];
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            let (length, from) = server.recv_from(&mut query).unwrap();
            query[2] |= 0x80;
            server.send_to(&query[..length], from).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.recv(&mut query).unwrap();
        }
        let client = client("0.0.0.0").unwrap();
        client.send_to(&[9; 3000], (SERVER_V4, 5000)).unwrap();
        client.send_to(&[9; 30], (SERVER_V4, 9)).unwrap();
    }

    fn replay(&self, namespace: &Namespace, interface: &str, file: &Path) {
        let interface = format!("--intf1={interface}");
        let file = file.to_str().unwrap();
        namespace.run(&["tcpreplay", "--quiet", "--topspeed", &interface, file]).unwrap();
    }

    /// Frames that came to the gateway's outer interface, and that left it.
    fn passed(&self) -> u64 {
        let statistics = "cd /sys/class/net/gw0/statistics && cat rx_packets tx_packets";
        let counts = self.lab.gateway.run(&["sh", "-c", statistics]).unwrap();
        counts.lines().map(|count| count.parse::<u64>().unwrap()).sum()
    }
}

fn shell(namespace: &Namespace, script: &str) {
    namespace.run(&["sh", "-c", script]).unwrap();
}
