%% Where the native library comes from: the precompiled file for this system, or cargo.
%%
%% A package has native/precompiled.eterm, which names the files there are and their checksums. A
%% work tree or a clone has none, and cargo builds the library. Where `make precompiled' made one in
%% a work tree, it serves those who have no cargo; whoever has it compiles what he sees, not what
%% was published before he changed it.
%%
%% The environment may ask for cargo (RAM_BUILD=1, or RUSTLER_PRECOMPILED_FORCE_BUILD_ALL=1, which
%% libraries of the kind share), and so does a version with a `-', which no file is published for. A
%% precompiled file that cannot be had is an error: nobody gets a build of several minutes, or
%% another library, unasked.
%%
%% Works in the folder of the package, the current one. Says nothing when there is nothing to do.
-module(ram_build).

-export([main/1, choose/1]).

-type facts() :: #{is_forced := boolean(),
                   is_work_tree := boolean(),
                   has_cargo := boolean(),
                   version := binary(),
                   triple := string(),
                   map := none | ram_precompiled:map_of_files()}.
-type choice() :: {precompiled, ram_precompiled:wanted()}
                | {cargo, forced | no_map | work_tree | unpublished | {other_version, binary()}
                        | {no_file, string()}}.

%% The status to end with.
-spec main([string()]) -> 0..2.
main(Arguments) ->
    try
        Choice = choose(facts()),
        run(Arguments, Choice)
    catch
        throw:{failed, Text} ->
            io:put_chars(standard_error, ["ram: ", Text, $\n]),
            case Arguments of
                [] -> 1;
                _ -> 2
            end
    end.

run([], {precompiled, Wanted}) ->
    ram_precompiled:install(Wanted),
    0;
run([], {cargo, Why}) ->
    explain(Why),
    ram_cargo:build(no_file_for(Why)),
    0;
run(["--needs-cargo"], {cargo, _}) ->
    0;
run(["--needs-cargo"], {precompiled, _}) ->
    1;
run(_, _) ->
    throw({failed, "usage: escript native/build.escript [--needs-cargo]"}).

facts() ->
    #{is_forced => lists:any(fun is_set/1, ["RAM_BUILD", "RUSTLER_PRECOMPILED_FORCE_BUILD_ALL"]),
      is_work_tree => filelib:is_dir("test"),
      has_cargo => ram_cargo:is_there(),
      version => version(),
      triple => ram_triple:target(),
      map => ram_precompiled:map_of_files()}.

is_set(Variable) ->
    not lists:member(os:getenv(Variable, ""), ["", "0", "false", "no"]).

version() ->
    {ok, [{application, ram, Keys}]} = file:consult("erlang/ram.app.src"),
    list_to_binary(proplists:get_value(vsn, Keys)).

-spec choose(facts()) -> choice().
choose(#{is_forced := true}) ->
    {cargo, forced};
choose(#{map := none}) ->
    {cargo, no_map};
choose(#{is_work_tree := true, has_cargo := true}) ->
    {cargo, work_tree};
choose(#{version := Version, triple := Triple, map := Map}) ->
    case {binary:match(Version, <<"-">>), Map, ram_precompiled:wanted(Triple, Map)} of
        {{_, _}, _, _} -> {cargo, unpublished};
        {nomatch, #{version := Version}, {ok, Wanted}} -> {precompiled, Wanted};
        {nomatch, #{version := Version}, none} -> {cargo, {no_file, Triple}};
        {nomatch, #{version := Other}, _} -> {cargo, {other_version, Other}}
    end.

%% Once, before the library is there.
explain({no_file, Triple}) ->
    filelib:is_regular("priv/ram_nif.so") orelse
        io:format("ram: there is no precompiled library for ~ts; cargo builds it~n", [Triple]);
explain({other_version, Version}) ->
    io:format("ram: native/precompiled.eterm is of version ~ts; cargo builds the library~n",
              [Version]);
explain(_) ->
    ok.

no_file_for({no_file, Triple}) -> Triple;
no_file_for(_) -> none.
