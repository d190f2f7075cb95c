%% The package of `make package': its format, what is in it and what is not, and that rebar3 and Mix
%% compile what comes out of it in an empty folder.
%%
%% In make test the library is a precompiled one that the cache has, and there is no cargo; in make
%% soak cargo builds it, with the package's own manifests and lock.
-module(ram_package_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([suite/0, all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-export([the_tarball_has_the_format_of_hex/1,
         the_same_files_make_the_same_package/1,
         it_holds_what_a_user_needs/1,
         it_holds_nothing_that_is_for_tests/1,
         its_lock_is_complete/1,
         a_map_of_another_version_is_not_packed/1,
         rebar3_compiles_it/1,
         mix_compiles_it/1,
         cargo_builds_it_for_rebar3_and_mix/1]).

suite() -> [{timetrap, {minutes, 10}}].

all() ->
    ram_case:all(?MODULE, ram_case:amount([cargo_builds_it_for_rebar3_and_mix], [])).

init_per_suite(Config) ->
    ok = ram_publication:load_hook(),
    Folder = ram_project:folder(?MODULE),
    make(ram_case:root(), Folder),
    [Tarball] = filelib:wildcard(filename:join(Folder, "ram-*.tar")),
    [{made, Folder}, {tarball, Tarball} | Config].

end_per_suite(Config) ->
    file:del_dir_r(proplists:get_value(made, Config)).

init_per_testcase(Case, Config) ->
    [{folder, ram_project:folder(Case)} | Config].

end_per_testcase(_Case, Config) ->
    file:del_dir_r(folder(Config)).

make(Root, Folder) ->
    ram_project:run(filename:join(Root, "scripts/package.sh"), [Folder], Root, []).

the_tarball_has_the_format_of_hex(Config) ->
    [{"VERSION", Version}, {"CHECKSUM", Checksum}, {"metadata.config", Metadata},
     {"contents.tar.gz", Contents}] = outer(Config),
    Sum = binary:decode_unsigned(crypto:hash(sha256, [Version, Metadata, Contents])),
    ?assertEqual({<<"3">>, Sum}, {Version, binary_to_integer(Checksum, 16)}),
    Pairs = metadata(Config),
    [?assertEqual({Key, Value}, {Key, proplists:get_value(Key, Pairs)})
     || {Key, Value} <- [{<<"name">>, <<"ram">>},
                         {<<"app">>, <<"ram">>},
                         {<<"version">>, list_to_binary(ram_publication:version())},
                         {<<"licenses">>, [<<"Apache-2.0">>]},
                         {<<"requirements">>, []},
                         {<<"build_tools">>, [<<"rebar3">>, <<"mix">>]}]],
    ?assertMatch(<<_, _/binary>>, proplists:get_value(<<"description">>, Pairs)),
    ?assertEqual(files(Config), [binary_to_list(File)
                                 || File <- proplists:get_value(<<"files">>, Pairs)]),
    ?assertEqual(files(Config), lists:usort(files(Config))).

the_same_files_make_the_same_package(Config) ->
    _ = make(ram_case:root(), folder(Config)),
    Again = filename:join(folder(Config), filename:basename(tarball(Config))),
    ?assertEqual(sum(tarball(Config)), sum(Again)).

it_holds_what_a_user_needs(Config) ->
    Needed = ["rebar.config", "mix.exs", "erlang/ram.app.src", "erlang/ram.erl", "lib/ram.ex",
              "native/build.escript", "native/build/ram_build.erl", "Cargo.toml", "Cargo.lock",
              ".cargo/config.toml", "native/ram_nif/build.rs", "native/ram_nif/src/lib.rs",
              "LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "docs/durability.md"],
    ?assertEqual([], Needed -- files(Config)),
    Modules = [filename:join("erlang", File)
               || File <- filelib:wildcard("*", filename:join(ram_case:root(), "erlang"))],
    ?assertEqual([], Modules -- files(Config)).

it_holds_nothing_that_is_for_tests(Config) ->
    Parts = ["test", "tests", "tests.rs", "bench", "scripts", ".ci", "ram_sim", "ram_check",
             "ram_model", "target", "priv", "_build"],
    ?assertEqual([], [File || File <- files(Config), Part <- filename:split(File),
                              lists:member(Part, Parts)]),
    Lock = text("Cargo.lock", Config),
    [?assertEqual({Crate, false}, {Crate, has("name = \"" ++ Crate ++ "\"", Lock)})
     || Crate <- ["ram_sim", "ram_check", "ram_model", "proptest", "tempfile", "turmoil", "loom",
                  "stateright", "mad-turmoil", "todc-utils"]],
    ?assert(has("name = \"openraft\"", Lock)),
    [?assertEqual({File, false}, {File, has("dev-dependencies", text(File, Config))})
     || File <- files(Config), filename:basename(File) =:= "Cargo.toml"].

%% Cargo would change it otherwise, and `--locked' forbids that; the versions are those of this
%% tree.
its_lock_is_complete(Config) ->
    Package = unpack(Config),
    _ = ram_project:run("cargo", ["tree", "--locked", "--quiet", "-p", "ram_nif"], Package, []),
    {ok, Own} = file:read_file(filename:join(ram_case:root(), "Cargo.lock")),
    [{match, Packed}, {match, Known}] =
        [re:run(Lock, "name = .*\nversion = .*", [global, {capture, all, list}])
         || Lock <- [text("Cargo.lock", Config), Own]],
    ?assertEqual([], Packed -- Known).

a_map_of_another_version_is_not_packed(Config) ->
    Package = unpack(Config),
    Other = "#{url => <<>>, version => <<\"0.0.1\">>, nif => <<>>, checksums => #{}}.",
    ok = file:write_file(filename:join(Package, "native/precompiled.eterm"), Other),
    Script = filename:join(ram_case:root(), "scripts/package.escript"),
    {Status, Output} = ram_project:outcome("escript", [Script, "collect", folder(Config)],
                                           Package, []),
    ?assertEqual({1, Output}, {Status, Output}),
    ?assert(has("native/precompiled.eterm is of version 0.0.1", Output)).

rebar3_compiles_it(Config) ->
    Package = precompiled(unpack(Config), Config),
    ram_project:run_rebar3(rebar3_project(Package, Config), without_cargo(Config)).

mix_compiles_it(Config) ->
    ram_project:with_mix(fun() ->
        Package = precompiled(unpack(Config), Config),
        ram_project:run_mix(mix_project(Package, Config), without_cargo(Config))
    end).

cargo_builds_it_for_rebar3_and_mix(Config) ->
    Package = unpack(Config),
    ram_project:run_rebar3(rebar3_project(Package, Config), ram_project:for_cargo()),
    ok = file:delete(filename:join(Package, "priv/ram_nif.so")),
    ram_project:with_mix(fun() ->
        ram_project:run_mix(mix_project(Package, Config), ram_project:for_cargo())
    end).

%%% Projects

rebar3_project(Package, Config) ->
    Project = ram_project:uses_ram(rebar3_project, folder(Config),
                                   {"{git, \"none\", {tag, \"1\"}}", []}),
    ok = file:make_dir(filename:join(Project, "_checkouts")),
    ok = file:make_symlink(Package, filename:join(Project, "_checkouts/ram")),
    Project.

mix_project(Package, Config) ->
    ram_project:uses_ram(mix_project, folder(Config), {"path: ~p", [Package]}).

%% As a package that has a map; the file that it names is in the cache.
precompiled(Package, Config) ->
    {ok, Library} = file:read_file(filename:join(code:priv_dir(ram), "ram_nif.so")),
    Published = ram_publication:archive([{ram_publication:member(), Library}]),
    ok = ram_publication:map(Package, "https://localhost:1", Published),
    ok = filelib:ensure_path(cache(Config)),
    ok = file:write_file(filename:join(cache(Config), ram_publication:file()), Published),
    Package.

without_cargo(Config) ->
    Path = ram_project:path_without(["cargo"], filename:join(folder(Config), "bin")),
    [{"PATH", Path}, {"RUSTLER_PRECOMPILED_GLOBAL_CACHE_PATH", cache(Config)},
     {"RAM_BUILD", false}, {"RUSTLER_PRECOMPILED_FORCE_BUILD_ALL", false}].

cache(Config) -> filename:join(folder(Config), "cache").

%%% The package

folder(Config) -> proplists:get_value(folder, Config).

tarball(Config) -> proplists:get_value(tarball, Config).

outer(Config) ->
    {ok, Members} = erl_tar:extract(tarball(Config), [memory]),
    Members.

metadata(Config) ->
    {_, Metadata} = lists:keyfind("metadata.config", 1, outer(Config)),
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Metadata)),
    terms(Tokens).

terms([]) ->
    [];
terms(Tokens) ->
    {Term, [Dot | Rest]} = lists:splitwith(fun(Token) -> element(1, Token) =/= dot end, Tokens),
    {ok, Parsed} = erl_parse:parse_term(Term ++ [Dot]),
    [Parsed | terms(Rest)].

contents(Config) ->
    {_, Contents} = lists:keyfind("contents.tar.gz", 1, outer(Config)),
    {ok, Members} = erl_tar:extract({binary, Contents}, [memory, compressed]),
    Members.

files(Config) -> [File || {File, _} <- contents(Config)].

text(File, Config) ->
    {File, Text} = lists:keyfind(File, 1, contents(Config)),
    unicode:characters_to_list(Text).

unpack(Config) ->
    Package = filename:join(folder(Config), "ram of the package"),
    {_, Contents} = lists:keyfind("contents.tar.gz", 1, outer(Config)),
    ok = erl_tar:extract({binary, Contents}, [compressed, {cwd, Package}]),
    Package.

sum(File) ->
    {ok, Bytes} = file:read_file(File),
    crypto:hash(sha256, Bytes).

has(Word, Text) -> string:find(Text, Word) =/= nomatch.
