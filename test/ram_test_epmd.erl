%% Where nodes find each other without epmd: a file for each name in a folder of the test run.
%% Used with -start_epmd false -epmd_module ram_test_epmd -ram_test_epmd Folder.
-module(ram_test_epmd).

-export([start_link/0, register_node/2, register_node/3, port_please/2, port_please/3,
         address_please/3, listen_port_please/2, names/1]).

-define(DIST_VERSION, 6).

start_link() ->
    ignore.

register_node(Name, Port) ->
    register_node(Name, Port, inet).

register_node(Name, Port, _Family) ->
    File = file(Name),
    Temporary = File ++ "." ++ os:getpid(),
    ok = prim_file:write_file(Temporary, integer_to_binary(Port)),
    ok = prim_file:rename(Temporary, File),
    {ok, rand:uniform(1 bsl 30)}.

port_please(Name, Host) ->
    port_please(Name, Host, infinity).

port_please(Name, _Host, _Timeout) ->
    case prim_file:read_file(file(Name)) of
        {ok, Port} -> {port, binary_to_integer(Port), ?DIST_VERSION};
        {error, _} -> noport
    end.

address_please(_Name, Host, Family) ->
    inet:getaddr(Host, Family).

listen_port_please(_Name, _Host) ->
    {ok, 0}.

names(_Host) ->
    {error, address}.

file(Name) ->
    {ok, [[Folder]]} = init:get_argument(ram_test_epmd),
    filename:join(Folder, lists:flatten(io_lib:format("~s", [Name]))).
