%% A flood of connections by somebody who has no cookie, in a VM of its own: each of its processes
%% opens one after the other, keeps the newest open, and says nothing or something senseless.
-module(ram_flood).

-export([start/2, opened/1, stop/1]).
-export([run/2, count/0]).
-export_type([flood/0]).

-opaque flood() :: pid().
-type place() :: {inet:ip_address(), inet:port_number()}.

-define(PROCESSES, 60).
%% Connections that a process keeps open; all together many more than a member takes.
-define(KEPT, 60).
%% Between two connections of a process: some hundreds a second at each of three members.
-define(PAUSE_MS, 25).

%% @doc To all these places, from all these addresses of this host. Returns when it is under way.
-spec start([place()], [inet:ip_address()]) -> flood().
start(Places, Sources) ->
    {ok, Peer, _} = peer:start(#{connection => standard_io, args => ram_peers:code_paths()}),
    ok = peer:call(Peer, ?MODULE, run, [Places, Sources]),
    ram_peers:eventually(fun() -> opened(Peer) > ?PROCESSES * ?KEPT end),
    Peer.

%% @doc How many connections it has opened.
-spec opened(flood()) -> non_neg_integer().
opened(Peer) ->
    peer:call(Peer, ?MODULE, count, []).

-spec stop(flood()) -> ok.
stop(Peer) ->
    peer:stop(Peer).

%% In the VM of the flood.
-spec run([place()], [inet:ip_address()]) -> ok.
run(Places, Sources) ->
    Counter = counters:new(1, []),
    persistent_term:put(?MODULE, Counter),
    Turns = [{Place, Source} || Source <- Sources, Place <- Places],
    lists:foreach(fun(N) -> spawn(fun() -> connect(Turns, [], N, Counter) end) end,
                  lists:seq(1, ?PROCESSES)).

-spec count() -> non_neg_integer().
count() ->
    counters:get(persistent_term:get(?MODULE), 1).

connect([Turn | Turns], Open, N, Counter) ->
    {{Ip, Port}, Source} = Turn,
    Opened = case gen_tcp:connect(Ip, Port, [binary, {ip, Source}, {active, false}], 1000) of
                 {ok, Socket} ->
                     counters:add(Counter, 1, 1),
                     N rem 2 =:= 0 andalso gen_tcp:send(Socket, half_a_hello(N)),
                     [Socket | Open];
                 {error, _} ->
                     Open
             end,
    {Kept, Old} = lists:split(min(?KEPT, length(Opened)), Opened),
    lists:foreach(fun gen_tcp:close/1, Old),
    receive after ?PAUSE_MS -> ok end,
    connect(Turns ++ [Turn], Kept, N, Counter).

%% The beginning of a handshake that goes no further.
half_a_hello(N) ->
    <<"ram!", 2:16, 600:16, N:64>>.
