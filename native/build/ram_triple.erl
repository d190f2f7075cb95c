%% Rust's name of a system, such as x86_64-unknown-linux-gnu: of the one that this virtual machine
%% runs on, and of the one that is built for.
-module(ram_triple).

-export([host/0, target/0, name/2, with/2]).

-type loaders() :: #{musl := boolean(), glibc := boolean()}.

%% @doc What the virtual machine was compiled for, since it is what loads the library.
-spec host() -> string().
host() ->
    Loaders = #{musl => [] =/= filelib:wildcard("/lib/ld-musl-*.so.1"),
                glibc => [] =/= filelib:wildcard("/lib*/ld-linux*.so.*")},
    name(erlang:system_info(system_architecture), Loaders).

%% @doc As host/0; who builds for another system (Nerves) names the parts of that.
-spec target() -> string().
target() ->
    Parts = ["TARGET_ARCH", "TARGET_VENDOR", "TARGET_OS", "TARGET_ABI"],
    with([os:getenv(Part, "") || Part <- Parts], host()).

%% @doc The triple of what Erlang calls the system's architecture.
-spec name(Architecture :: string(), loaders()) -> string().
name(Architecture, Loaders) ->
    [Cpu | Rest] = string:lexemes(Architecture, "-"),
    case [Part || Part <- Rest, System <- systems(), lists:prefix(System, Part)] of
        ["linux" | _] -> join([cpu(Cpu), "unknown", "linux", abi(lists:last(Rest), Loaders)]);
        ["darwin" ++ _ | _] -> join([cpu(Cpu), "apple", "darwin"]);
        [System | _] -> join([cpu(Cpu), "unknown", without_version(System)]);
        [] -> Architecture
    end.

systems() -> ["linux", "darwin", "freebsd", "netbsd", "openbsd"].

cpu("amd64") -> "x86_64";
cpu("arm64") -> "aarch64";
cpu(Cpu) -> Cpu.

%% Alpine's compilers once called their system gnu, too.
abi("gnu" ++ Rest, #{musl := true, glibc := false}) -> "musl" ++ Rest;
abi("linux", #{musl := true, glibc := false}) -> "musl";
abi("linux", _) -> "gnu";
abi(Abi, _) -> Abi.

without_version(System) ->
    string:trim(System, trailing, ".0123456789").

%% @doc The triple with those of the four parts that are not empty in place of its own.
-spec with([string()], string()) -> string().
with(["", "", "", ""], Triple) ->
    Triple;
with(Parts, Triple) ->
    Own = string:lexemes(Triple, "-"),
    Four = lists:sublist(Own ++ ["", "", "", ""], 4),
    join(lists:zipwith(fun("", Part) -> Part; (Part, _) -> Part end, Parts, Four)).

join(Parts) ->
    lists:flatten(lists:join("-", [Part || Part <- Parts, Part =/= ""])).
