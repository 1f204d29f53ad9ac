use std::{fs, process::Command};

use crate::host::{
    interface::{Facts, InterfaceError, Master},
    namespace::{ifindex, ip, run},
};

fn texts(prefixes: &[super::super::Prefix]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

/// An interface that is up without any address of its own making.
fn bare(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}-peer"));
    ip(&format!("link set {name} up"));
    ip(&format!("link set {name}-peer up"));
}

#[test]
fn bare_interface_may_be_mirrored() {
    run(|| async {
        bare("span");
        ip("link set span mtu 9000");
        let facts = Facts::read("span").await.unwrap();
        assert_eq!(facts.index, ifindex("span"));
        assert_eq!((facts.mtu, facts.up, facts.loopback), (9000, true, false));
        assert_eq!(facts.link_local.len(), 1, "the kernel gives one: {facts:?}");
        assert!(facts.addresses.is_empty() && facts.routes.is_empty(), "{facts:?}");
        assert_eq!((&facts.master, &facts.uppers), (&None, &Vec::new()));
        assert_eq!((facts.refuse_mirror(), facts.netmask()), (None, 0));

        ip("link set span down");
        assert!(!Facts::read("span").await.unwrap().up);
    });
}

#[test]
fn addresses_speak_against_mirror() {
    run(|| async {
        bare("v");
        ip("address add 192.0.2.1/24 dev v");
        ip("address add 198.51.100.1 peer 198.51.100.2/32 dev v");
        ip("address add 2001:db8::1/64 dev v nodad");
        let facts = Facts::read("v").await.unwrap();
        assert_eq!(texts(&facts.addresses), ["192.0.2.1/24", "198.51.100.1/32", "2001:db8::1/64"]);
        assert_eq!(facts.netmask(), 0xffff_ff00);
        let refusal = facts.refuse_mirror().unwrap();
        assert!(refusal.contains("takes the frames of `v` away from the host"), "{refusal}");
        assert!(refusal.contains("addresses 192.0.2.1/24, 198.51.100.1/32"), "{refusal}");
        assert!(refusal.contains("`--force`"), "{refusal}");
    });
}

#[test]
fn routes_speak_against_mirror() {
    run(|| async {
        bare("v");
        bare("w");
        ip("route add 203.0.113.0/24 dev v");
        ip("route add 198.51.100.0/24 dev w");
        ip("route add 192.0.2.0/24 nexthop dev w nexthop dev v");
        ip("route add default dev v table 77");
        ip("-6 route add 2001:db8:1::/48 dev v");
        ip("route add unreachable 192.0.2.128/25");
        let facts = Facts::read("v").await.unwrap();
        let mut routes = texts(&facts.routes);
        routes.sort();
        assert_eq!(
            routes,
            ["192.0.2.0/24", "2001:db8:1::/48", "203.0.113.0/24", "the IPv4 default"]
        );
        assert!(facts.addresses.is_empty());
        let refusal = facts.refuse_mirror().unwrap();
        assert!(refusal.contains("routes lead through it") && refusal.contains('…'), "{refusal}");
    });
}

#[test]
fn large_routing_table_is_not_read_to_its_end() {
    run(|| async {
        bare("v");
        let mut batch = String::new();
        for number in 0..20_000 {
            batch += &format!("route add 10.{}.{}.0/24 dev v\n", number / 256, number % 256);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, batch).unwrap();
        assert!(Command::new("ip").arg("-batch").arg(file.path()).status().unwrap().success());
        let facts = Facts::read("v").await.unwrap();
        assert_eq!(facts.routes.len(), 16);
        assert!(facts.refuse_mirror().is_some());
    });
}

#[test]
fn bridge_port_and_stacked_interface_speak_against_mirror() {
    run(|| async {
        bare("v");
        ip("link add br7 type bridge");
        ip("link set v master br7");
        let facts = Facts::read("v").await.unwrap();
        let master = Master { name: "br7".to_owned(), kind: "bridge".to_owned() };
        assert_eq!(facts.master, Some(master));
        let refusal = facts.refuse_mirror().unwrap();
        assert!(refusal.contains("port of the bridge `br7`"), "{refusal}");

        ip("link set v nomaster");
        ip("link add link v name mac7 type macvlan");
        let facts = Facts::read("v").await.unwrap();
        assert_eq!(
            (&facts.master, facts.uppers.as_slice()),
            (&None, ["mac7".to_owned()].as_slice())
        );
        assert!(facts.refuse_mirror().unwrap().contains("`mac7` is stacked on it"));
        assert_eq!(Facts::read("v-peer").await.unwrap().uppers, [""; 0]);
    });
}

#[test]
fn loopback_has_ethernet_headers_but_is_no_mirror_port() {
    run(|| async {
        let facts = Facts::read("lo").await.unwrap();
        assert!(facts.loopback && !facts.up);
        assert!(facts.refuse_mirror().unwrap().contains("loopback"));
    });
}

#[test]
fn other_link_types_are_refused() {
    run(|| async {
        ip("tuntap add dev tun7 mode tun");
        ip("tuntap add dev tap7 mode tap");
        let error = Facts::read("tun7").await.unwrap_err();
        assert!(matches!(error, InterfaceError::NotEthernet { link_type: 65534, .. }), "{error:?}");
        assert!(error.to_string().contains("`tun7` is not an Ethernet interface (tun, link type"));
        assert!(Facts::read("tap7").await.is_ok());
    });
}

#[test]
fn unknown_names_and_alternative_names() {
    run(|| async {
        bare("wan0");
        ip("link property add dev wan0 altname uplink altname a-rather-long-alternative-name");
        for alternative in ["uplink", "a-rather-long-alternative-name"] {
            assert_eq!(Facts::read(alternative).await.unwrap().name, "wan0");
        }
        let error = Facts::read("wan1").await.unwrap_err().to_string();
        assert!(error.contains("no interface `wan1`"), "{error}");
        assert!(error.contains("did you mean `wan0`?"), "{error}");
        for strange in ["", "a-name-longer-than-any-interface-has", "nul\0byte", "../lo", "%d"] {
            let error = Facts::read(strange).await.unwrap_err();
            assert!(matches!(error, InterfaceError::Unknown { .. }), "{strange:?}: {error}");
        }
    });
}
