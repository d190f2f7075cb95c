%% The decisions of native/build.escript: where the library comes from, what a system is called,
%% which hosts a proxy is gone through for.
-module(ram_hook_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([what_is_not_published_is_built_by_cargo/1,
         systems_have_the_names_that_rust_gives_them/1,
         hosts_are_excepted_from_the_proxy_as_the_variable_says/1]).

all() -> ram_case:all(?MODULE).

init_per_suite(Config) ->
    ok = ram_publication:load_hook(),
    Config.

end_per_suite(_Config) -> ok.

what_is_not_published_is_built_by_cargo(_Config) ->
    Map = #{url => <<"u">>, version => <<"1.0.0">>, nif => <<"2.16">>,
            checksums => #{<<"libram_nif-v1.0.0-nif-2.16-x86_64-unknown-linux-gnu.so.tar.gz">>
                               => <<"sha256:AB">>}},
    Facts = #{is_forced => false, is_work_tree => false, has_cargo => true, map => Map,
              version => <<"1.0.0">>, triple => "x86_64-unknown-linux-gnu"},
    ?assertMatch({precompiled, #{checksum := <<"sha256:ab">>}}, ram_build:choose(Facts)),
    ?assertMatch({precompiled, _}, ram_build:choose(Facts#{is_work_tree := true,
                                                           has_cargo := false})),
    ?assertEqual({cargo, work_tree}, ram_build:choose(Facts#{is_work_tree := true})),
    ?assertEqual({cargo, forced}, ram_build:choose(Facts#{is_forced := true})),
    ?assertEqual({cargo, no_map}, ram_build:choose(Facts#{map := none})),
    ?assertEqual({cargo, {no_file, "x"}}, ram_build:choose(Facts#{triple := "x"})),
    ?assertEqual({cargo, {other_version, <<"1.0.0">>}},
                 ram_build:choose(Facts#{version := <<"1.0.1">>})),
    ?assertEqual({cargo, unpublished},
                 ram_build:choose(Facts#{version := <<"1.0.0-rc.1">>,
                                         map := Map#{version := <<"1.0.0-rc.1">>}})).

systems_have_the_names_that_rust_gives_them(_Config) ->
    Neither = #{musl => false, glibc => false},
    Musl = Neither#{musl := true},
    [?assertEqual({Architecture, Loaders, Triple},
                  {Architecture, Loaders, ram_triple:name(Architecture, Loaders)})
     || {Architecture, Loaders, Triple} <-
            [{"x86_64-pc-linux-gnu", Neither, "x86_64-unknown-linux-gnu"},
             {"x86_64-pc-linux-gnu", Musl, "x86_64-unknown-linux-musl"},
             {"x86_64-pc-linux-gnu", Musl#{glibc := true}, "x86_64-unknown-linux-gnu"},
             {"x86_64-alpine-linux-musl", Musl, "x86_64-unknown-linux-musl"},
             {"aarch64-unknown-linux-gnu", Neither, "aarch64-unknown-linux-gnu"},
             {"aarch64-openwrt-linux", Musl, "aarch64-unknown-linux-musl"},
             {"armv7l-unknown-linux-gnueabihf", Neither, "armv7l-unknown-linux-gnueabihf"},
             {"aarch64-apple-darwin24.1.0", Neither, "aarch64-apple-darwin"},
             {"x86_64-apple-darwin", Neither, "x86_64-apple-darwin"},
             {"amd64-unknown-freebsd14.1", Neither, "x86_64-unknown-freebsd"}]],
    ?assertEqual("arm-nerves-linux-gnueabihf",
                 ram_triple:with(["arm", "nerves", "linux", "gnueabihf"], "aarch64-apple-darwin")),
    ?assertEqual("aarch64-unknown-linux-gnu",
                 ram_triple:with(["aarch64", "", "", ""], "x86_64-unknown-linux-gnu")).

hosts_are_excepted_from_the_proxy_as_the_variable_says(_Config) ->
    [?assertEqual({Host, Except, Answer},
                  {Host, Except, ram_download:proxy_for(Host, #{proxy => Proxy, except => Except})})
     || {Host, Proxy, Except, Answer} <-
            [{"a.org", "", "a.org", none},
             {"a.org", "http://p:3128", "", {{"p", 3128}, []}},
             {"a.org", "http://p:3128/", "b.org, c.org", {{"p", 3128}, []}},
             {"a.org", "p:3128", "b.org,a.org", {{"p", 3128}, ["a.org"]}},
             {"x.a.org", "p:3128", "a.org", {{"p", 3128}, ["x.a.org"]}},
             {"x.a.org", "p:3128", ".a.org", {{"p", 3128}, ["x.a.org"]}},
             {"ba.org", "p:3128", "a.org", {{"p", 3128}, []}},
             {"a.org", "p:3128", "*", {{"p", 3128}, ["a.org"]}}]],
    [?assertThrow({cannot, _}, ram_download:proxy_for("a.org", #{proxy => Proxy, except => ""}))
     || Proxy <- ["https://p:1", "http://me:secret@p:1", "socks5://p:1"]].
