use super::*;

const HOST: &str = "login.ois.run";
const TEMPLATE: &str = include_str!("../../tests/haproxy.cfg.epp");

fn sni() -> Spot {
    Spot::Rule {
        frontend: "sni-ingress".to_owned(),
        by: By::Sni,
    }
}

fn in_frontend(rules: &str) -> String {
    format!("frontend sni-ingress from tcp-ingress\n{rules}\nbackend core1-https\n")
}

fn one(text: &str) -> (Found, Vec<String>) {
    let located = locate(text.as_bytes(), "cfg", &sni(), HOST);
    let Located::One(found, doubts) = located else {
        panic!("{located:?}");
    };
    (found, doubts)
}

fn not(text: &str) -> String {
    let located = locate(text.as_bytes(), "cfg", &sni(), HOST);
    let Located::Not(because) = located else {
        panic!("{located:?}");
    };
    because
}

#[test]
fn the_runbooks_two_rules_are_found_and_one_word_of_each_changes() {
    let http = Spot::Rule {
        frontend: "http-ingress".to_owned(),
        by: By::Host,
    };
    let mut bytes = TEMPLATE.as_bytes().to_vec();
    for (spot, before, after) in [
        (sni(), "core2-https", "core1-https"),
        (http, "core2-http", "core1-http"),
    ] {
        let Located::One(found, doubts) = locate(&bytes, "cfg", &spot, HOST) else {
            panic!("{spot:?}");
        };
        assert_eq!((found.value.as_str(), doubts.len()), (before, 0));
        bytes = replaced(&bytes, found.range, after);
    }
    let wanted = TEMPLATE
        .replace(
            "core2-https if { req.ssl_sni -i login.ois.run }",
            "core1-https if { req.ssl_sni -i login.ois.run }",
        )
        .replace(
            "core2-http if { hdr(host) -i login.ois.run }",
            "core1-http if { hdr(host) -i login.ois.run }",
        );
    assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
}

#[test]
fn line_ends_tags_and_bytes_that_are_no_text_stay() {
    let mut text = b"# \xff <%= $x %>\r\nfrontend sni-ingress\r\n".to_vec();
    text.extend(b"  use_backend\t core2-https  if { req.ssl_sni -i login.ois.run } # \xfe\r\n");
    let Located::One(found, _) = locate(&text, "cfg", &sni(), HOST) else {
        panic!("it is not found");
    };
    let range = found.range;
    let changed = replaced(&text, range.clone(), "core1-https");
    assert_eq!(changed[..range.start], text[..range.start]);
    assert_eq!(changed[range.end..], text[range.end..]);
}

#[test]
fn a_rule_before_it_that_holds_too_is_a_shadow() {
    let because = not(&in_frontend(
        " use_backend wild if { req.ssl_sni -i -m end .ois.run }\n \
         use_backend core2-https if { req.ssl_sni -i login.ois.run }",
    ));
    assert!(
        because.starts_with("Line 2 of cfg sends login.ois.run to `wild`"),
        "{because}"
    );
}

#[test]
fn a_rule_before_it_that_may_hold_is_a_doubt_and_one_after_it_is_not() {
    let (found, doubts) = one(&in_frontend(
        " use_backend maint if { src 192.0.2.0/24 }\n \
         use_backend core2-https if { req.ssl_sni -i login.ois.run }\n \
         use_backend rest if { src 10.0.0.0/8 }",
    ));
    assert_eq!((found.line, doubts.len()), (3, 1));
    assert!(doubts[0].contains("Line 2"), "{doubts:?}");
}

#[test]
fn a_line_that_comes_and_goes_is_a_doubt() {
    let (_, doubts) = one(&in_frontend(
        "<% if $x { -%>\n use_backend core2-https if { req.ssl_sni -i login.ois.run }\n<% } -%>",
    ));
    assert_eq!(doubts.len(), 2);
}

#[test]
fn a_named_acl_is_followed() {
    let (found, _) = one(&in_frontend(
        " acl is_login req.ssl_sni -i login.ois.run\n use_backend core2-https if is_login",
    ));
    assert_eq!(found.value, "core2-https");
    assert_eq!(found.at, "cfg: frontend sni-ingress if is_login");
}

#[test]
fn a_shared_rule_is_refused_with_its_line() {
    let because = not(&in_frontend(
        " use_backend core2-https if { req.ssl_sni -i login.ois.run web.ois.run }",
    ));
    assert!(
        because.contains("Line 2 of cfg names login.ois.run beside other hosts"),
        "{because}"
    );
}

#[test]
fn no_rule_a_rule_elsewhere_and_a_frontend_that_is_there_twice_are_refused() {
    assert!(not(&in_frontend("")).contains("no line for login.ois.run"));
    let elsewhere = "frontend other\n use_backend b if { req.ssl_sni -i login.ois.run }\n";
    assert!(not(elsewhere).contains("0 frontends sni-ingress"));
    let twice = in_frontend("") + &in_frontend("");
    assert!(not(&twice).contains("2 frontends sni-ingress"));
}

#[test]
fn two_rules_for_one_host_are_several() {
    let rule = "use_backend core2-https if { req.ssl_sni -i login.ois.run }\n";
    let text = in_frontend(&rule.repeat(2));
    let located = locate(text.as_bytes(), "cfg", &sni(), HOST);
    assert!(matches!(located, Located::Several(found) if found.len() == 2));
}

#[test]
fn a_line_of_a_map_is_found_by_its_key() {
    let map = Spot::Map {
        file: "sni.map".to_owned(),
    };
    let text =
        "# login.ois.run no\r\nweb.ois.run core2-https\r\n\tlogin.ois.run \t core2-https \r\n";
    let Located::One(found, _) = locate(text.as_bytes(), "sni.map", &map, HOST) else {
        panic!("it is not found");
    };
    assert_eq!((found.line, found.value.as_str()), (3, "core2-https"));
    let changed = replaced(text.as_bytes(), found.range, "core1-https");
    let wanted = text.replace("run \t core2-https", "run \t core1-https");
    assert_eq!(String::from_utf8(changed).unwrap(), wanted);
}

#[test]
fn a_backend_is_a_section() {
    let text = "backend core1-https from x\nlisten stats\nfrontend f\n use_backend y\n";
    for (name, is_there) in [
        ("core1-https", true),
        ("stats", true),
        ("y", false),
        ("f", false),
    ] {
        assert_eq!(has_backend(text.as_bytes(), name), is_there, "{name}");
    }
}
