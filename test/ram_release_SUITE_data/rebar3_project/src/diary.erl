%% Puts a new key every few milliseconds, and writes into a file which ones were acknowledged.
-module(diary).

-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1, init/1, start_link/0]).

start(_Type, _Arguments) ->
    {ok, Nodes} = application:get_env(diary, nodes),
    case ram:start_cluster([list_to_atom(Node) || Node <- string:lexemes(Nodes, " ")]) of
        ok -> supervisor:start_link(?MODULE, []);
        {error, Reason} -> {error, Reason}
    end.

stop(_State) ->
    ok.

init([]) ->
    {ok, {#{}, [#{id => diary, start => {?MODULE, start_link, []}}]}}.

start_link() ->
    {ok, Path} = application:get_env(diary, file),
    {ok, proc_lib:spawn_link(fun() ->
                                     {ok, File} = file:open(Path, [append]),
                                     write(File)
                             end)}.

write(File) ->
    Key = iolist_to_binary(io_lib:format("~s ~b", [node(), erlang:system_time()])),
    try ram:put(Key, Key) of
        ok -> io:format(File, "put\t~s~n", [Key])
    catch
        error:Reason -> io:format(File, "failed\t~0p~n", [Reason])
    end,
    timer:sleep(5),
    write(File).
