%% Builds the library from source, by cargo. Cargo decides whether anything is to be done.
-module(ram_cargo).

-export([build/1, is_there/0, rust_min/0]).

%% @doc The triple is one that there is no precompiled file for, or none.
-spec build(string() | none) -> ok.
build(NoFileFor) ->
    case os:find_executable("cargo") of
        false -> throw({failed, not_found(NoFileFor)});
        Cargo -> ram_library:place(built(run(Cargo, arguments())))
    end.

-spec is_there() -> boolean().
is_there() ->
    os:find_executable("cargo") =/= false.

%% @doc The oldest Rust that compiles ram.
-spec rust_min() -> binary().
rust_min() ->
    {ok, Manifest} = file:read_file("Cargo.toml"),
    {match, [Version]} = re:run(Manifest, "^rust-version = \"([^\"]*)\"",
                                [multiline, {capture, all_but_first, binary}]),
    Version.

not_found(none) ->
    io_lib:format("cargo was not found; install Rust (~ts or newer) and try again", [rust_min()]);
not_found(Triple) ->
    io_lib:format("there is no precompiled library for ~ts, and cargo was not found to build it; "
                  "install Rust (~ts or newer) and try again", [Triple, rust_min()]).

arguments() ->
    ["build", "--release", "--locked", "-p", "ram_nif",
     "--message-format=json-render-diagnostics" | for_target()].

%% For another system than this one, unless the user tells cargo so in its own way.
for_target() ->
    case {ram_triple:target(), ram_triple:host(), os:getenv("CARGO_BUILD_TARGET")} of
        {Host, Host, _} -> [];
        {Target, _, false} -> ["--target", Target];
        {_, _, _} -> []
    end.

%% What cargo printed for programs; what it says to people it prints itself.
run(Cargo, Arguments) ->
    Port = open_port({spawn_executable, Cargo},
                     [{args, Arguments}, {env, environment()}, binary, exit_status, hide]),
    case collect(Port, []) of
        {0, Output} ->
            Output;
        {_, _} ->
            throw({failed, io_lib:format("cargo could not build the library (~ts; ram needs Rust "
                                         "~ts or newer)", [version(Cargo), rust_min()])})
    end.

%% A library that a VM loads cannot hold the C library of musl, which is what Rust's own toolchain
%% does unless it is told otherwise. .cargo/config.toml tells it, and is not asked where the user
%% has flags of his own.
environment() ->
    IsMusl = string:find(ram_triple:target(), "-musl") =/= nomatch,
    case {IsMusl, os:getenv("CARGO_ENCODED_RUSTFLAGS"), os:getenv("RUSTFLAGS")} of
        {false, _, _} -> [];
        {true, false, false} -> [];
        {true, false, Own} -> [{"RUSTFLAGS", Own ++ " -C target-feature=-crt-static"}];
        {true, Own, _} -> [{"CARGO_ENCODED_RUSTFLAGS",
                            Own ++ [31 | "-C"] ++ [31 | "target-feature=-crt-static"]}]
    end.

version(Cargo) ->
    Port = open_port({spawn_executable, Cargo},
                     [{args, ["--version"]}, binary, exit_status, stderr_to_stdout, hide]),
    {_, Output} = collect(Port, []),
    string:trim(Output).

collect(Port, Parts) ->
    receive
        {Port, {data, Part}} -> collect(Port, [Part | Parts]);
        {Port, {exit_status, Status}} -> {Status, iolist_to_binary(lists:reverse(Parts))}
    end.

%% Where a folder of the user's, a configuration or a target put it, cargo knows best.
built(Output) ->
    Pattern = "\"([^\"]*/libram_nif\\.(?:so|dylib))\"",
    case re:run(Output, Pattern, [{capture, all_but_first, list}]) of
        {match, [File]} -> unicode:characters_to_list(list_to_binary(File));
        nomatch -> throw({failed, "cargo did not say where it put the library"})
    end.
