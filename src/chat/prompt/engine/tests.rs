use minijinja::{ErrorKind, Value, context};

use super::*;

fn rendered(template: &str, variables: Value) -> Result<String, ErrorKind> {
    environment().render_str(template, variables).map_err(|error| error.kind())
}

#[test]
fn templates_are_read_as_jinja_reads_them_for_operators() {
    let people = [context! { name => "ann", age => 3 }, context! { name => "bob", age => 2 }];
    let variables = context! { text => "  One two three  ", html => "<b>&", people => people, none => () };
    for (template, expected) in [
        ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"),
        ("{{ html }}", "<b>&"),
        ("[{{ nothing }}{{ nothing.at.all }}{% for x in nothing %}x{% endfor %}]", "[]"),
        ("{% if nothing or none %}x{% else %}y{% endif %}", "y"),
        ("{{ text.strip().upper() }} {{ text.split()[0] }}", "ONE TWO THREE One"),
        ("{{ text.strip().startswith('One') }} {{ 'a-b'.replace('-', '+') }}", "True a+b"),
        ("{{ people | map(attribute='name') | join(', ') }}", "ann, bob"),
        ("{{ (people | sort(attribute='age') | first).name }}", "bob"),
        ("{{ people | selectattr('age', 'gt', 2) | list | length }}", "1"),
        (
            "{% for p in people %}{{ loop.index }}{{ p.name }}{{ ', ' if not loop.last }}{% endfor %}",
            "1ann, 2bob",
        ),
        (
            "{% set ns = namespace(n=0) %}{% for p in people %}{% set ns.n = ns.n + p.age %}{% endfor %}{{ ns.n }}",
            "5",
        ),
        ("{% macro hi(x, y='!') %}hi {{ x }}{{ y }}{% endmacro %}{{ hi('bob') }}", "hi bob!"),
        ("{{ nothing | default('d') }} {{ '' | default('d', true) }}", "d d"),
        ("{{ text | trim | wordcount }} {{ text | trim | title }}", "3 One Two Three"),
        ("{{ 7 // 2 }} {{ 7 % 4 }} {{ '%s: %d' | format('a', 3) }}", "3 3 a: 3"),
        ("{{ people[-1:] | length }} {{ 'x' ~ 1 }} {{ 'b' in 'abc' }}", "1 x1 True"),
        ("{{ {'a': [1]} | tojson }}", "{\"a\": [1]}"),
        ("{# no #}{% raw %}{{ x }}{% endraw %}{%- if true -%} y {%- endif -%}", "{{ x }}y"),
        ("{{ 'a\"b' | quoted }} {{ 'x y' | speaker }}", "\"a\\\"b\" \"x y\""),
    ] {
        assert_eq!(rendered(template, variables.clone()), Ok(expected.to_owned()), "{template}");
    }
}

#[test]
fn truncate_takes_its_arguments_as_in_jinja() {
    let text = "Joel is a slug";
    for (arguments, expected) in [
        ("10", "Joel is a slug"),
        ("10, leeway=0", "Joel..."),
        ("9, true, '…', leeway=0", "Joel is …"),
        ("length=9, killwords=true, end='', leeway=0", "Joel is a"),
        ("3, leeway=0", "..."),
        ("1, leeway=0", "..."),
        ("leeway=100", "Joel is a slug"),
        ("4, end='', leeway=0", "Joel"),
    ] {
        let template = format!("{{{{ text | truncate({arguments}) }}}}");
        assert_eq!(rendered(&template, context! { text }), Ok(expected.to_owned()), "{arguments}");
    }
}

#[test]
fn a_template_can_neither_hang_nor_fill_the_memory() {
    for template in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 10000 }}{% endfor %}",
        "{{ ('x' * n).replace('x', 'x' * n) }}",
        "{{ ('x' * n * n) | length }}",
        "{% set ns = namespace(s='x') %}{% for a in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{{ range(99999) | list | map('string') | map('center', 9999) | join }}",
        "{{ '%999999999s' | format('x') }}",
        "{{ ('y,' * 9999).split(',') | join('z' * 99999) }}",
    ] {
        let result = rendered(template, context! { n => 99_999 });
        assert!(result.is_err(), "{template}: {} bytes", result.unwrap_or_default().len());
    }
    assert_eq!(
        rendered("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", Value::UNDEFINED),
        Err(ErrorKind::InvalidOperation)
    );
}

#[test]
fn nesting_is_bounded_on_a_thread_with_little_room() {
    let nested = |open: &str, close: &str| open.repeat(5_000) + "x" + &close.repeat(5_000);
    let worst = [
        nested("{% if true %}", "{% endif %}"),
        format!("{{{{ {} }}}}", nested("(", ")")),
        format!("{{{{ {} }}}}", nested("[", "]")),
        "{% macro m() %}{% for a in [1] %}{% if true %}{% set x %}{{ m() }}{% endset %}{% endif %}{% endfor %}\
         {% endmacro %}{{ m() }}"
            .to_owned(),
    ];
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        worst.iter().map(|template| rendered(template, Value::UNDEFINED).is_err()).collect::<Vec<_>>()
    });
    let failed = thread.expect("a thread").join().expect("no overflow");
    assert_eq!(failed, [true; 4]);
}
