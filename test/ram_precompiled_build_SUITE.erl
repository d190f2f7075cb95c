%% What `make precompiled' makes: how a library is packed (scripts/precompiled_pack.sh), and the
%% check that any system of its kind can load it (scripts/precompiled_verify.sh). The checked
%% libraries are small ones with one fault each: of the C compiler, and of macOS their heads alone.
%% The long form makes the file for this machine and loads it.
-module(ram_precompiled_build_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([a_library_that_any_system_of_its_kind_can_load_passes/1,
         a_library_that_needs_a_newer_glibc_is_refused/1,
         a_library_that_would_be_unmapped_is_refused/1,
         a_library_without_the_entry_point_is_refused/1,
         a_library_for_another_processor_or_system_is_refused/1,
         a_library_that_needs_what_others_lack_is_refused/1,
         a_library_of_macos_that_a_mac_would_not_load_is_refused/1,
         a_packed_library_has_the_names_of_functions_and_no_debug_information/1,
         the_same_library_makes_the_same_file/1,
         a_packed_library_serves_puts_and_gets/1,
         the_file_for_this_machine_is_made_with_its_map_and_serves/1]).

-define(NAME, "libram_nif-v1.2.3-nif-2.16-" ++ triple() ++ ".so").

suite() ->
    [{timetrap, {minutes, ram_case:amount(2, 60)}}].

all() ->
    [Case || Case <- ram_case:all(?MODULE),
             ram_case:is_long() orelse Case =/= made_for_this_machine()].

made_for_this_machine() -> the_file_for_this_machine_is_made_with_its_map_and_serves.

init_per_suite(Config) ->
    Missing = [Tool || Tool <- ["cc", "readelf", "objcopy"], os:find_executable(Tool) =:= false],
    case {string:find(triple(), "linux-gnu"), Missing} of
        {nomatch, _} -> {skip, "the checks of ELF files and glibc are tested on Linux with glibc"};
        {_, []} -> Config;
        {_, _} -> {skip, "missing: " ++ lists:join(" ", Missing)}
    end.

end_per_suite(_Config) ->
    ok.

%%% The check

a_library_that_any_system_of_its_kind_can_load_passes(Config) ->
    ?assertEqual({0, ""}, verify(good(Config), triple(), Config)).

a_library_that_needs_a_newer_glibc_is_refused(Config) ->
    %% glibc on x86_64 begins with 2.2.5, on aarch64 with 2.17.
    refused("needs glibc", verify(good(Config), triple(), [{"GLIBC_MAX", "2.1"}], Config)).

a_library_that_would_be_unmapped_is_refused(Config) ->
    refused("nodelete", verify(library([], entry(), Config), triple(), Config)).

a_library_without_the_entry_point_is_refused(Config) ->
    Other = string:replace(entry(), "nif_init", "other"),
    refused("nif_init", verify(library(nodelete(), Other, Config), triple(), Config)),
    %% One that only it can see is none.
    Hidden = library(["-fvisibility=hidden" | nodelete()], entry(), Config),
    refused("nif_init", verify(Hidden, triple(), Config)).

a_library_for_another_processor_or_system_is_refused(Config) ->
    Good = good(Config),
    Other = case cpu() of "x86_64" -> "aarch64"; _ -> "x86_64" end,
    refused("not an ELF file", verify(Good, Other ++ "-unknown-linux-gnu", Config)),
    refused("is for musl", verify(Good, cpu() ++ "-unknown-linux-musl", Config)),
    refused("not a Mach-O", verify(Good, cpu() ++ "-apple-darwin", Config)).

a_library_that_needs_what_others_lack_is_refused(Config) ->
    Folder = folder(Config),
    Private = library(["-Wl,-soname,libprivate.so"], "int private(void) { return 1; }", Config),
    ok = file:rename(Private, filename:join(Folder, "libprivate.so")),
    Flags = ["-L" ++ Folder, "-Wl,--no-as-needed", "-lprivate" | nodelete()],
    refused("needs libprivate.so", verify(library(Flags, entry(), Config), triple(), Config)).

a_library_of_macos_that_a_mac_would_not_load_is_refused(Config) ->
    Called = {16#D, "@rpath/libram_nif.dylib"},
    System = {16#C, "/usr/lib/libSystem.B.dylib"},
    Verify = fun(Cpu, Commands) ->
        Library = filename:join(folder(Config), "macho.so"),
        ok = file:write_file(Library, macho(Cpu, Commands)),
        verify(Library, Cpu ++ "-apple-darwin", Config)
    end,
    ?assertEqual({0, ""}, Verify("x86_64", [Called, System])),
    ?assertEqual({0, ""}, Verify("aarch64", [Called, System, {16#1D, ""}])),
    refused("is not signed", Verify("aarch64", [Called, System])),
    Private = {16#80000018, "@rpath/libz.dylib"},
    refused("needs @rpath/libz.dylib", Verify("x86_64", [Called, Private])),
    refused("is called /home/me", Verify("x86_64", [{16#D, "/home/me/libram_nif.dylib"}])),
    refused("end too early", Verify("x86_64", [{16#C, 4}])).

%% A head, load commands that name something, and the name of the entry point.
macho(Cpu, Commands) ->
    Processor = case Cpu of "x86_64" -> 16#01000007; "aarch64" -> 16#0100000C end,
    Loads = [load(Kind, Name) || {Kind, Name} <- Commands],
    Head = [16#FEEDFACF, Processor, 0, 6, length(Loads), iolist_size(Loads), 0, 0],
    [[<<Word:32/little>> || Word <- Head], Loads, "_nif_init"].

load(Kind, Length) when is_integer(Length) ->
    <<Kind:32/little, Length:32/little>>;
load(Kind, Name) ->
    Fields = [Kind, 24 + length(Name), 24, 0, 0, 0],
    [[<<Word:32/little>> || Word <- Fields], Name].

refused(Why, {Status, Output}) ->
    ?assertEqual({1, true, Output}, {Status, string:find(Output, Why) =/= nomatch, Output}).

verify(Library, Triple, Config) ->
    verify(Library, Triple, [{"GLIBC_MAX", "9.9"}], Config).

verify(Library, Triple, Environment, Config) ->
    run(script("precompiled_verify.sh"), [Library, Triple], Environment, Config).

good(Config) ->
    library(nodelete(), entry(), Config).

nodelete() -> ["-Wl,-z,nodelete"].

%% It needs glibc, for a function that is as old as that.
entry() ->
    "#include <stdlib.h>\nvoid *nif_init(void) { return malloc(1); }\n".

library(Flags, Code, Config) ->
    Name = "lib" ++ integer_to_list(erlang:unique_integer([positive])),
    Source = filename:join(folder(Config), Name ++ ".c"),
    Library = filename:join(folder(Config), Name ++ ".so"),
    ok = file:write_file(Source, Code),
    {0, _} = run("cc", ["-shared", "-fPIC", "-o", Library, Source | Flags], [], Config),
    Library.

%%% Packing

a_packed_library_has_the_names_of_functions_and_no_debug_information(Config) ->
    Source = library(["-g" | nodelete()], [entry(), "static int named(void) { return 7; }\n",
                                           "int (*keep)(void) = named;\n"], Config),
    Library = unpack(pack(Source, Config), ?NAME, Config),
    {0, Sections} = run("readelf", ["-SW", Library], [], Config),
    ?assertEqual(nomatch, string:find(Sections, ".debug_info")),
    ?assertNotEqual(nomatch, string:find(Sections, ".gnu_debuglink")),
    {0, Symbols} = run("readelf", ["-sW", Library], [], Config),
    ?assertMatch({match, _}, re:run(Symbols, " named$", [multiline])),
    Debug = ?NAME ++ ".debug",
    {0, Information} = run("readelf", ["-SW", unpack(packed(Debug, Config), Debug, Config)], [],
                           Config),
    ?assertNotEqual(nomatch, string:find(Information, ".debug_info")).

the_same_library_makes_the_same_file(Config) ->
    Source = good(Config),
    Archive = pack(Source, Config),
    {ok, First} = file:read_file(Archive),
    Copy = Source ++ ".copy",
    {ok, _} = file:copy(Source, Copy),
    ok = file:change_time(Copy, {{2001, 1, 1}, {0, 0, 0}}),
    {ok, Second} = file:read_file(pack(Copy, Config)),
    ?assertEqual(erlang:md5(First), erlang:md5(Second)),
    %% Both were made in one moment by one user, which shall not count either.
    {ok, Entries} = erl_tar:table(Archive, [compressed, verbose]),
    ?assertMatch([{_, regular, _Size, _Time = 0, 8#755, _User = 0, _Group = 0}], Entries).

a_packed_library_serves_puts_and_gets(Config) ->
    Library = filename:join(code:priv_dir(ram), "ram_nif.so"),
    serves(unpack(pack(Library, Config), ?NAME, Config), Config).

%% FILE of the tar, which holds nothing else.
unpack(Archive, File, Config) ->
    {ok, Names} = erl_tar:table(Archive, [compressed]),
    ?assertEqual([File], Names),
    ok = erl_tar:extract(Archive, [compressed, {cwd, folder(Config)}]),
    filename:join(folder(Config), File).

pack(Library, Config) ->
    Arguments = [Library, folder(Config), ?NAME],
    {0, _} = run(script("precompiled_pack.sh"), Arguments, [], Config),
    packed(?NAME, Config).

packed(Name, Config) ->
    filename:join(folder(Config), Name ++ ".tar.gz").

%%% The whole

the_file_for_this_machine_is_made_with_its_map_and_serves(Config) ->
    Out = filename:join(folder(Config), "made"),
    Map = filename:join(folder(Config), "precompiled.eterm"),
    Url = "https://files.example/ram",
    {Status, Output} =
        run(script("precompiled.sh"), [],
            [{"TARGETS", triple() ++ " riscv64-unknown-nowhere"}, {"URL", Url}, {"OUT", Out},
             {"MAP", Map}], Config),
    ?assertEqual({0, Output}, {Status, Output}),
    ?assertNotEqual(nomatch, string:find(Output, "NOT MADE  riscv64-unknown-nowhere: ")),
    {ok, [#{url := Base, version := Version, nif := <<"2.16">>, checksums := Sums}]} =
        file:consult(Map),
    ?assertEqual(list_to_binary(Url), Base),
    ?assertEqual(version(), binary_to_list(Version)),
    [{File, Sum}] = maps:to_list(Sums),
    {ok, Bytes} = file:read_file(filename:join(Out, File)),
    Hash = string:lowercase(binary:encode_hex(crypto:hash(sha256, Bytes))),
    ?assertEqual(<<"sha256:", Hash/binary>>, Sum),
    Member = filename:basename(binary_to_list(File), ".tar.gz"),
    Library = unpack(filename:join(Out, File), Member, Config),
    ?assertEqual({0, ""}, verify(Library, triple(), [], Config)),
    serves(Library, Config).

version() ->
    _ = application:load(ram),
    {ok, Version} = application:get_key(ram, vsn),
    Version.

%% In a VM of its own, whose ram has this library.
serves(Library, Config) ->
    App = filename:join([folder(Config), "lib", "ram"]),
    ok = filelib:ensure_path(filename:join(App, "ebin")),
    ok = filelib:ensure_path(filename:join(App, "priv")),
    [{ok, _} = file:copy(File, filename:join([App, "ebin", filename:basename(File)]))
     || File <- filelib:wildcard(filename:join(code:lib_dir(ram), "ebin/*"))],
    {ok, _} = file:copy(Library, filename:join([App, "priv", "ram_nif.so"])),
    Data = io_lib:format("~0p", [filename:join(folder(Config), "data")]),
    {ok, Peer, Node} = peer:start(#{connection => standard_io, wait_boot => 30000,
                                    args => ["-pa", filename:join(App, "ebin"),
                                             "-ram", "data_dir", lists:flatten(Data)]}),
    try
        ok = peer:call(Peer, ram, start_cluster, [[Node]], 30000),
        ok = peer:call(Peer, ram, put, [key, #{a => [1]}]),
        ?assertEqual(#{a => [1]}, peer:call(Peer, ram, get, [key])),
        ?assertEqual(App, peer:call(Peer, code, lib_dir, [ram]))
    after
        peer:stop(Peer)
    end.

%%% Programs

run(Program, Arguments, Environment, Config) ->
    ram_program:outcome(Program, Arguments, [{cd, folder(Config)}, {env, Environment}]).

script(Name) ->
    filename:join([ram_case:root(), "scripts", Name]).

triple() ->
    Abi = lists:last(string:lexemes(erlang:system_info(system_architecture), "-")),
    lists:flatten([cpu(), "-unknown-linux-", Abi]).

cpu() ->
    hd(string:lexemes(erlang:system_info(system_architecture), "-")).

folder(Config) ->
    ram_case:folder(Config).
