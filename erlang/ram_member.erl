%% The state machine of the member of this node, registered as ram_node, whose functions ask it from
%% any node. It opens the member that the data folder holds, has it join or leave a cluster, and
%% keeps the reason when it fails.
%%
%% States at rest: `unnamed' (the node has no name yet), `blank' (the folder holds nothing),
%% `unreadable' (what it holds cannot be read, or another process has it), `failed' (it holds a
%% member that is not open), `serving'. States of work: `starting', `stopping', `erasing',
%% `recovering', `renaming'. Work is a call of the library that blocks; the owner process
%% (ram_owner) makes it, and a function says what follows from its result: more work, or rest.
%% ram_opening, ram_ending and ram_naming decide that.
%%
%% A status is answered at once in every state. Other requests wait while there is work, each as
%% long as its caller says, and are then refused with `{busy, State}': what was refused is not done
%% later. What is not known is answered or logged; nothing that is received ends this process. A
%% call of the library that crashes is one that failed. When this process is killed, the owner dies
%% with it, and the library stops a member that nobody refers to. Nothing is deleted because
%% something failed.
-module(ram_member).
-behaviour(gen_statem).

-include_lib("kernel/include/logger.hrl").
-include("ram_member.hrl").

-export([start_link/1]).
-export([callback_mode/0, init/1, handle_event/4, terminate/3]).
-export_type([state/0, step/0, then/0]).

-type state() :: unnamed | blank | unreadable | failed | serving | work().
-type work() :: starting | stopping | erasing | recovering | renaming.
%% Nothing is left to do; or this call, and what follows from its result.
-type step() :: {rest, #member{}}
              | {work, work(), ram_owner:call(), fun((term(), #member{}) -> step()), #member{}}.
%% What follows when the folder was read, or the member has ended.
-type then() :: fun((#member{}) -> step()).

%% Requests that wait at once.
-define(QUEUE_MAX, 1000).
%% How soon a new name or cookie takes effect when no request comes.
-define(CHECK_MS, 1000).
%% How often unknown messages are logged, and how deep.
-define(UNKNOWN_MS, 10000).
-define(DEPTH, 10).
%% For how long work is waited for when this process is stopped; below the limit of ram_sup.
-define(STOP_MS, 50000).

-spec start_link(ram_config:settings()) -> gen_statem:start_ret().
start_link(Settings) ->
    gen_statem:start_link({local, ram_node}, ?MODULE, Settings, []).

-spec callback_mode() -> gen_statem:callback_mode_result().
callback_mode() ->
    handle_event_function.

-spec init(ram_config:settings()) -> gen_statem:init_result(state()).
init(Settings) ->
    process_flag(trap_exit, true),
    %% Of a process that was killed.
    _ = ram_request:clear_member(),
    self() ! check_name,
    Cookie = ram_distribution:cookie(undefined),
    Data = #member{settings = Settings, owner = ram_owner:start_link(), cookie = Cookie},
    {ok, unnamed, Data, [{next_event, internal, start}]}.

-spec handle_event(gen_statem:event_type(), term(), state(), #member{}) ->
          gen_statem:event_handler_result(state()).
handle_event(internal, start, _State, Data) ->
    step(ram_naming:start(Data));
handle_event({call, {Pid, _Tag} = From}, Request, State, Data) when is_pid(Pid) ->
    requested(From, Request, State, Data);
handle_event(cast, {joined, Cluster}, _State, #member{cluster = Cluster} = Data) ->
    {keep_state, ram_opening:joined(Data)};
handle_event(cast, {joined, _Other}, _State, _Data) ->
    keep_state_and_data;
handle_event(cast, {address, Cluster, Id, Address} = Message, State, Data)
  when is_binary(Cluster), is_integer(Id), is_binary(Address) ->
    address(Message, State, Data);
handle_event(info, {ram_owner, Owner, Result}, State, #member{owner = Owner} = Data) ->
    result(Result, State, Data);
handle_event(info, {ram_owner, _Former, _Result}, _State, _Data) ->
    keep_state_and_data;
handle_event(info, {'EXIT', Owner, Reason}, State, #member{owner = Owner} = Data) ->
    owner_ended(Reason, State, Data#member{owner = ram_owner:start_link()});
handle_event(info, {timeout, _Timer, {refuse, From}}, State, Data) ->
    {keep_state, refused(From, State, Data)};
handle_event(info, check_name, _State, Data) ->
    _ = erlang:send_after(?CHECK_MS, self(), check_name),
    at_rest(fun ram_naming:check/1, Data);
handle_event(info, retry, _State, Data) ->
    at_rest(fun ram_opening:retry/1, Data);
handle_event(info, {nodeup, Node, _Info}, serving, Data) ->
    ok = ram_opening:tell_address([Node], Data),
    keep_state_and_data;
handle_event(info, {Change, _Node, _Info}, _State, _Data) when Change =:= nodeup;
                                                               Change =:= nodedown ->
    keep_state_and_data;
handle_event(info, {'DOWN', Monitor, process, _Pid, _Why}, _State,
             #member{coordinator = Monitor} = Data) ->
    {keep_state, Data#member{coordinator = undefined}};
handle_event(_Type, Message, _State, Data) ->
    {keep_state, unknown(Message, Data)}.

-spec terminate(term(), state(), #member{}) -> ok.
terminate(_Reason, _State, #member{handle = Handle} = Data) ->
    _ = ram_request:clear_member(),
    Open = [Each || Each <- [Handle, opened(Data)], Each =/= undefined],
    lists:foreach(fun ram_nif:member_stop/1, Open),
    true = exit(Data#member.owner, kill),
    ok.

%% What the work that is under way still opens.
opened(#member{work = undefined}) ->
    undefined;
opened(#member{owner = Owner}) ->
    receive
        {ram_owner, Owner, {done, _} = Result} -> ram_owner:opened(Result);
        {ram_owner, Owner, {crashed, _}} -> undefined;
        {'EXIT', Owner, _} -> undefined
    after ?STOP_MS -> undefined
    end.

%%% Work and rest

step({work, State, Call, Then, #member{owner = Owner} = Data}) ->
    ok = ram_owner:call(Owner, Call),
    {next_state, State, Data#member{work = {Call, Then}}};
step({rest, #member{queue = []} = Data}) ->
    {next_state, resting(Data), Data};
step({rest, Data}) ->
    case ram_naming:check(Data) of
        {rest, #member{queue = [{From, Request} | Queue]} = Checked} ->
            step(handle(Request, From, Checked#member{queue = Queue}));
        Work ->
            step(Work)
    end.

resting(#member{config = undefined}) -> unnamed;
resting(#member{handle = Handle}) when Handle =/= undefined -> serving;
resting(#member{cluster = Cluster}) when Cluster =/= undefined -> failed;
resting(#member{failure = undefined}) -> blank;
resting(#member{}) -> unreadable.

at_rest(Step, #member{work = undefined} = Data) -> step(Step(Data));
at_rest(_Step, _Data) -> keep_state_and_data.

result({done, Result}, _State, #member{work = {_Call, Then}} = Data) ->
    step(Then(Result, Data#member{work = undefined}));
result({crashed, Text}, State, Data) ->
    crashed(Text, State, Data);
result({event, _Handle, _Event}, _State, #member{work = {_, _}}) ->
    {keep_state_and_data, [postpone]};
result({event, Handle, Event}, serving, #member{handle = Handle} = Data) ->
    step(ram_ending:event(Event, Data));
%% Of a member that has ended.
result({event, _Handle, _Event}, _State, _Data) ->
    keep_state_and_data.

owner_ended(Reason, State, Data) ->
    Text = io_lib:format("the owner process of the member ended: ~0tP", [Reason, ?DEPTH]),
    crashed(unicode:characters_to_binary(Text), State, Data).

%% The call failed. A member that was open may be half ended: it is closed for certain, once.
crashed(Text, State, #member{work = {Call, Then}, handle = Handle} = Data) ->
    ?LOG_ERROR("ram: ~ts", [Text]),
    Ended = Data#member{work = undefined},
    Failed = fun(Next) -> Then({error, {failed, Text}}, Next) end,
    case Handle =:= undefined orelse element(1, Call) =:= close of
        true -> step(Failed(Ended));
        false -> step({work, State, {close, Handle}, fun(_, Closed) -> Failed(Closed) end, Ended})
    end;
%% Events of the member that is open would come to nobody.
crashed(Text, serving, Data) ->
    ?LOG_ERROR("ram: ~ts", [Text]),
    step(ram_ending:reopen(Data));
crashed(_Text, _State, _Data) ->
    keep_state_and_data.

%%% Requests

requested(From, status, State, Data) ->
    {keep_state_and_data, [{reply, From, ram_description:status(State, Data)}]};
requested(From, {request, WaitMs, Request}, State, Data)
  when is_integer(WaitMs), WaitMs >= 0, WaitMs < 1 bsl 32; WaitMs =:= infinity ->
    case is_request(Request) of
        true -> queued({From, Request}, WaitMs, State, Data);
        false -> {keep_state_and_data, [{reply, From, {error, unknown_request}}]}
    end;
requested(From, _OfAnotherVersion, _State, _Data) ->
    {keep_state_and_data, [{reply, From, {error, unknown_request}}]}.

is_request(describe) -> true;
is_request(await) -> true;
is_request(restart) -> true;
is_request({join, Cluster, Storage, Coordinator}) ->
    is_cluster(Cluster) andalso lists:member(Storage, [any, disk, memory])
        andalso is_pid(Coordinator);
is_request({cancel_join, Cluster}) -> is_cluster(Cluster);
is_request({erase, Only}) -> Only =:= any orelse is_integer(Only) orelse is_cluster(Only);
is_request({set_aside, Id}) -> is_integer(Id);
is_request({recover, Old, New}) -> is_cluster(Old) andalso is_cluster(New);
is_request(_Unknown) -> false.

is_cluster(Id) -> is_binary(Id) andalso byte_size(Id) =:= 16.

queued(Waiting, _WaitMs, _State, #member{work = undefined} = Data) ->
    step({rest, Data#member{queue = [Waiting]}});
queued({From, _Request}, WaitMs, State, #member{queue = Queue})
  when WaitMs =:= 0; length(Queue) >= ?QUEUE_MAX ->
    {keep_state_and_data, [{reply, From, {error, {busy, State}}}]};
queued({From, _Request} = Waiting, WaitMs, _State, #member{queue = Queue} = Data) ->
    _ = WaitMs =:= infinity orelse erlang:start_timer(WaitMs, self(), {refuse, From}),
    {keep_state, Data#member{queue = Queue ++ [Waiting]}}.

%% It may have been answered meanwhile.
refused(From, State, #member{queue = Queue} = Data) ->
    case lists:keytake(From, 1, Queue) of
        {value, _Request, Others} ->
            ok = gen_statem:reply(From, {error, {busy, State}}),
            Data#member{queue = Others};
        false ->
            Data
    end.

-spec handle(term(), gen_statem:from(), #member{}) -> step().
handle(await, From, Data) ->
    ram_opening:answer(From, ok, Data);
handle(_Request, From, #member{config = undefined} = Data) ->
    ram_opening:answer(From, {error, unnamed}, Data);
handle(describe, From, Data) ->
    ram_opening:refresh(Data, fun(Found) ->
        ram_opening:answer(From, ram_description:describe(Found), Found)
    end);
handle({join, Cluster, Storage, Coordinator}, From, Data) ->
    ram_opening:join({Cluster, Storage, Coordinator}, From, Data);
handle({cancel_join, Cluster}, From, Data) ->
    ram_ending:cancel_join(Cluster, From, Data);
handle({erase, Only}, From, Data) ->
    ram_ending:erase(Only, From, Data);
handle({set_aside, Id}, From, Data) ->
    ram_ending:set_aside(Id, From, Data);
handle(restart, From, Data) ->
    ram_opening:restart(From, Data);
handle({recover, Old, New}, From, Data) ->
    ram_ending:recover(Old, New, From, Data).

%%% Messages

address({address, Cluster, Id, Address} = Message, serving, #member{handle = Handle} = Data) ->
    try Data#member.cluster =/= Cluster orelse ram_nif:member_set_address(Handle, Id, Address) of
        _ -> keep_state_and_data
    catch
        error:badarg -> {keep_state, unknown(Message, Data)}
    end;
%% It may be of the member that is about to be opened.
address(_Message, _State, #member{work = {_, _}}) ->
    {keep_state_and_data, [postpone]};
address(_Message, _State, _Data) ->
    keep_state_and_data.

unknown(Message, #member{unknown_ms = LastMs} = Data) ->
    NowMs = erlang:monotonic_time(millisecond),
    case LastMs =:= undefined orelse NowMs - LastMs >= ?UNKNOWN_MS of
        true ->
            ?LOG_WARNING("ram: ram_node got a message that it does not know: ~0tP",
                         [Message, ?DEPTH]),
            Data#member{unknown_ms = NowMs};
        false ->
            Data
    end.
