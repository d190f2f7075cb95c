%% The member of this node: started, stopped, erased. ram_cluster of any node asks it over Erlang
%% distribution to join or leave; requests do not pass through here.
%%
%% The data folder holds nothing, a member, or what cannot be read; the library says which, under
%% the lock of the folder, and only who finds nothing may join. A folder may change while no member
%% has it open (a volume is mounted late, another process lets go of it), so it is looked at again
%% whenever somebody asks; and by itself as long as another process holds it.
%%
%% A member that fails, for example because its disk is full, is closed and the reason is kept for
%% status; the process and the VM go on, and restart brings it back. Nothing is deleted because
%% something failed.
-module(ram_node).
-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([check/1, start_link/1, describe/1, join/4, joined/2, abandon/2, erase/2, set_aside/2,
         restart/0, failure/0, recover/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-export_type([description/0]).

%% What a node says of its member. `joined': its log has an entry, so it belongs to a cluster that
%% was made; `forming': another node is about to make it a member.
-type description() ::
        none
      | #{cluster := binary(), id := pos_integer(), address := binary(), running := boolean(),
          members := [node()], joined := boolean(), forming := boolean(),
          storage := disk | memory}
      | {error, term()}.

-record(state, {config :: ram_config:config(),
                member :: ram_nif:member() | undefined,
                cluster :: binary() | undefined,     % of the data, running or not, if known
                storage = disk :: disk | memory,     % of the member
                former :: reference() | undefined,   % monitors who makes the cluster
                failure :: term(),                   % why the member does not run, if it should
                again :: reference() | undefined}).  % the timer for another look

-define(TIMEOUT_MS, 30000).
%% How soon a folder that another process held is looked at again.
-define(LOOK_AGAIN_MS, 200).

%% @doc Would a member start with this? How sizes must fit each other the library alone knows.
-spec check(ram_config:config()) -> ok | {error, {bad_config, atom(), binary()}}.
check(Config) ->
    case ram_nif:member_check(Config#{cookie => <<>>, memory => false}) of
        ok -> ok;
        {error, {config, Key, Why}} -> {error, {bad_config, binary_to_existing_atom(Key), Why}}
    end.

-spec start_link(ram_config:config()) -> gen_server:start_ret().
start_link(Config) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Config, []).

%% @doc `{error, Reason}' when the node does not answer, or its data folder cannot be read.
-spec describe(node()) -> description().
describe(Node) ->
    call(Node, describe).

%% @doc Makes the node a new incarnation in the cluster, known to nobody yet. `Storage' is `any' for
%% what the node itself is set to.
-spec join(node(), binary(), any | disk | memory, pid()) ->
          {ok, {pos_integer(), binary(), binary()}} | {error, term()}.
join(Node, Cluster, Storage, Former) ->
    call(Node, {join, Cluster, Storage, Former}).

-spec joined(node(), binary()) -> ok.
joined(Node, Cluster) ->
    gen_server:cast({?MODULE, Node}, {joined, Cluster}).

%% @doc Undoes a join of which nothing came: deletes the member of this cluster there, if its log
%% proves that it never acknowledged anything. Else `{error, joined}', and it is left as it is.
-spec abandon(node(), binary()) -> ok | {error, term()}.
abandon(Node, Cluster) ->
    call(Node, {abandon, Cluster}).

%% @doc Stops the member and deletes its data, if it is of this cluster, or the one with this Raft
%% id; with `any' whatever the folder holds of ram. `{error, other_cluster}' or `{error,
%% other_member}', and nothing is deleted, when it is another.
-spec erase(node(), any | binary() | pos_integer()) -> ok | {error, term()}.
erase(Node, Only) ->
    call(Node, {erase, Only}).

%% @doc Stops the member with this Raft id, which the cluster has removed, and moves its data aside.
-spec set_aside(node(), pos_integer()) -> ok | {error, term()}.
set_aside(Node, Id) ->
    call(Node, {set_aside, Id}).

-spec restart() -> ok | {error, term()}.
restart() ->
    call(node(), restart).

%% @doc Makes the member of the node the only one of the cluster New, with the data it has.
-spec recover(node(), Old :: binary(), New :: binary()) ->
          {ok, LastLogIndex :: non_neg_integer()} | {error, term()}.
recover(Node, Old, New) ->
    call(Node, {recover, Old, New}).

%% @doc Why the member of this node does not run, if it should.
-spec failure() -> term().
failure() ->
    case call(node(), failure) of
        {failure, Reason} -> Reason;
        {error, noproc} -> undefined;
        {error, Reason} -> Reason
    end.

call(Node, Request) ->
    try gen_server:call({?MODULE, Node}, Request, ?TIMEOUT_MS)
    catch
        exit:{noproc, _} -> {error, noproc};
        exit:{{nodedown, _}, _} -> {error, {unreachable, [Node]}};
        exit:{Reason, _} -> {error, {no_answer, Reason}}
    end.

-spec init(ram_config:config()) -> {ok, #state{}}.
init(Config) ->
    process_flag(trap_exit, true),
    %% Of a process that was killed.
    _ = ram_request:clear_member(),
    ok = net_kernel_monitor(),
    {ok, start_again(#state{config = Config})}.

net_kernel_monitor() ->
    case is_alive() of
        true -> net_kernel:monitor_nodes(true);
        false -> ok
    end.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(describe, _From, State) ->
    Found = look(State),
    {reply, description(Found), Found};
handle_call({join, Cluster, Storage, Former}, _From, State) ->
    join_found(Cluster, Storage, Former, look(State));
handle_call({abandon, Cluster}, _From, #state{cluster = Cluster, member = Member} = State)
  when Member =/= undefined ->
    abandoned(ram_nif:member_abandon(Member), closed(State));
handle_call({abandon, Cluster}, _From, #state{cluster = Cluster, failure = Reason} = State) ->
    {reply, {error, Reason}, State};
handle_call({abandon, _Other}, _From, State) ->
    {reply, ok, State};
handle_call({erase, Only}, _From, #state{cluster = Cluster} = State)
  when is_binary(Only), is_binary(Cluster), Only =/= Cluster ->
    {reply, {error, other_cluster}, State};
handle_call({erase, Id}, From, State) when is_integer(Id) ->
    case description(State) of
        #{id := Id} -> handle_call({erase, any}, From, State);
        _ -> {reply, {error, other_member}, State}
    end;
handle_call({erase, _Only}, _From, #state{member = Member} = State) when Member =/= undefined ->
    erased(ram_nif:member_erase(Member), closed(State));
handle_call({erase, Only}, _From, #state{config = #{data_dir := Dir}} = State) ->
    erased(ram_nif:folder_erase(Dir, known_cluster(Only, State)), State);
handle_call({set_aside, Id}, _From, State) ->
    case description(State) of
        #{id := Id} -> aside(State);
        _ -> {reply, {error, other_member}, State}
    end;
handle_call(restart, _From, #state{member = undefined} = State) ->
    case start_again(State) of
        #state{member = undefined, failure = undefined} = None -> {reply, {error, noproc}, None};
        #state{member = undefined, failure = Reason} = Failed -> {reply, {error, Reason}, Failed};
        Started -> {reply, ok, Started}
    end;
handle_call(restart, _From, State) ->
    {reply, ok, State};
handle_call({recover, _Old, _New}, _From, #state{member = undefined} = State) ->
    {reply, {error, noproc}, State};
handle_call({recover, Old, New}, _From, #state{member = Member} = State) ->
    case ram_nif:member_recover(Member, Old, New) of
        {ok, Recovered, LastLogIndex} ->
            flush_events(),
            {reply, {ok, LastLogIndex}, serve(Recovered, State)};
        {error, other_cluster} = Error ->
            {reply, Error, State};
        {error, _} = Error ->
            {reply, Error, start_again(stop_member(State))}
    end;
handle_call(failure, _From, State) ->
    {reply, {failure, State#state.failure}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({joined, Cluster}, #state{cluster = Cluster, former = Former} = State) ->
    Former =/= undefined andalso demonitor(Former, [flush]),
    {noreply, State#state{former = undefined}};
handle_cast({address, Cluster, Id, Address}, #state{cluster = Cluster, member = Member} = State)
  when Member =/= undefined ->
    ok = ram_nif:member_set_address(Member, Id, Address),
    {noreply, State};
handle_cast(_Stale, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Former, process, _Pid, _Reason}, #state{former = Former} = State) ->
    {noreply, State#state{former = undefined}};
handle_info({nodeup, Node}, State) ->
    tell_address([Node], State),
    {noreply, State};
handle_info({ram_member, removed}, #state{member = Member} = State) when Member =/= undefined ->
    {reply, _, Aside} = aside(State),
    {noreply, Aside};
handle_info({ram_member, {failed, Text}}, State) ->
    ?LOG_ERROR("ram: the member stopped: ~ts; ram:restart_server() starts it again", [Text]),
    {noreply, (stop_member(State))#state{failure = {failed, Text}}};
handle_info(look_again, #state{member = undefined, failure = {in_use, _}} = State) ->
    {noreply, start_again(State)};
handle_info({ram_log, Level, Text}, State) ->
    ?LOG(Level, "ram: ~ts", [Text]),
    {noreply, State};
handle_info(_Other, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_Reason, State) ->
    _ = stop_member(State),
    ok.

%% What the folder holds may have changed since it held nothing, or could not be read. A member that
%% failed is started by whoever asks for it: nothing in its folder says that it would go better.
look(#state{member = undefined, cluster = undefined} = State) -> start_again(State);
look(State) -> State.

%% Serves the cluster that the data folder holds, if it holds one.
start_again(#state{config = #{data_dir := Dir, storage := Storage}} = State) ->
    case ram_nif:folder_look(Dir) of
        none ->
            State#state{cluster = undefined, failure = undefined};
        {ok, Cluster} when Storage =:= memory ->
            ?LOG_ERROR("ram: ~ts holds the data of a cluster, but storage is set to memory; "
                       "set it to disk, or delete the folder", [Dir]),
            State#state{cluster = Cluster, failure = {storage_mismatch, disk, memory}};
        {ok, Cluster} ->
            start_member(<<>>, State#state{cluster = Cluster, storage = disk});
        {error, Reason} ->
            failed(Reason, State#state{cluster = undefined})
    end.

%% Into a folder that holds nothing, and nothing else.
join_found(Cluster, Storage, Former, #state{member = undefined, failure = undefined} = State) ->
    case start_as(Storage, Cluster, State) of
        {error, _} = Error ->
            {reply, Error, State};
        #state{member = undefined, failure = Reason} ->
            %% It has undone what it made.
            {reply, {error, Reason}, State};
        #state{member = Member, config = #{name := Name}} = Started ->
            #{id := Id, address := Address} = status(Member),
            {reply, {ok, {Id, Name, Address}}, Started#state{former = monitor(process, Former)}}
    end;
join_found(_Cluster, _Storage, _Former, #state{cluster = undefined, failure = Reason} = State) ->
    {reply, {error, Reason}, State};
join_found(_Cluster, _Storage, _Former, State) ->
    {reply, {error, {already_clustered, [node()]}}, State}.

start_as(any, Cluster, #state{config = #{storage := any}} = State) ->
    start_member(Cluster, State#state{storage = disk});
start_as(any, Cluster, #state{config = #{storage := Storage}} = State) ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, Cluster, #state{config = #{storage := Set}} = State)
  when Set =:= any; Set =:= Storage ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, _Cluster, #state{config = #{storage := Set}}) ->
    {error, {storage_mismatch, Set, Storage}}.

%% `Cluster' is empty for the one that the data folder holds.
start_member(Cluster, State) ->
    case ram_nif:member_start(settings(State), Cluster) of
        {ok, Member} -> serve(Member, State);
        {error, Reason} -> failed(Reason, State)
    end.

%% Told once. Another process may let go of the folder: it may be a former member of this very node
%% that is stopping.
failed(Reason, #state{failure = Known} = State) ->
    Reason =:= Known orelse ?LOG_ERROR("ram: the member did not start: ~ts", [words(Reason)]),
    State#state{failure = Reason, again = look_again(Reason, State)}.

look_again({in_use, _}, #state{again = Timer}) ->
    _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
    erlang:send_after(?LOOK_AGAIN_MS, self(), look_again);
look_again(_Reason, _State) ->
    undefined.

words({Kind, Text}) when is_atom(Kind), is_binary(Text) -> Text;
words(Reason) -> io_lib:format("~tp", [Reason]).

serve(Member, #state{config = #{call_timeout_ms := TimeoutMs, reads := Reads}} = State) ->
    ok = ram_request:set_member(Member, TimeoutMs, Reads),
    #{cluster := Cluster} = status(Member),
    Serving = State#state{member = Member, cluster = Cluster, failure = undefined},
    tell_address(nodes(), Serving),
    Serving.

settings(#state{config = Config, storage = Storage}) ->
    Config#{cookie => cookie(), memory => Storage =:= memory}.

%% A node that is not distributed has no peers, so nobody may know its secret.
cookie() ->
    case is_alive() of
        true -> atom_to_binary(erlang:get_cookie());
        false -> term_to_binary({make_ref(), erlang:unique_integer(), os:getpid(),
                                 erlang:system_time(), rand:bytes(32)})
    end.

stop_member(#state{member = undefined} = State) ->
    State;
stop_member(#state{member = Member} = State) ->
    _ = ram_request:clear_member(),
    ok = ram_nif:member_stop(Member),
    closed(State).

%% The library has stopped the member, or is about to. What it said until then must not be taken for
%% the words of the next one.
closed(State) ->
    _ = ram_request:clear_member(),
    flush_events(),
    State#state{member = undefined}.

flush_events() ->
    receive {ram_member, _} -> flush_events()
    after 0 -> ok
    end.

%% Its cluster has removed the member; what it held is kept until somebody says that it may go.
aside(#state{member = Member, config = #{data_dir := Dir}} = State) ->
    case ram_nif:member_set_aside(Member) of
        {ok, Prefix} ->
            ?LOG_NOTICE("ram: this node was removed from its cluster; its data are kept as ~ts*",
                        [filename:join(Dir, Prefix)]),
            erased(ok, closed(State));
        {error, _} = Error ->
            erased(Error, closed(State))
    end.

%% The reply, and what is left when the files are gone, or some of them are not: the next look
%% finishes that.
erased(Result, State) ->
    flush_events(),
    Left = State#state{member = undefined, former = undefined, failure = undefined},
    case Result of
        ok ->
            {reply, ok, Left#state{cluster = undefined}};
        {error, {not_erased, Text}} ->
            ?LOG_ERROR("ram: ~ts", [Text]),
            {reply, Result, failed({not_erased, Text}, Left#state{cluster = undefined})};
        {error, _} ->
            {reply, Result, start_again(Left)}
    end.

abandoned({error, joined} = Error, State) ->
    flush_events(),
    {reply, Error, start_again(State#state{former = undefined})};
abandoned(Result, State) ->
    erased(Result, State).

known_cluster(any, #state{cluster = undefined}) -> <<>>;
known_cluster(any, #state{cluster = Cluster}) -> Cluster;
known_cluster(Only, _State) -> Only.

description(#state{member = undefined, cluster = undefined, failure = undefined}) ->
    none;
description(#state{member = undefined, cluster = undefined, failure = Reason}) ->
    {error, Reason};
description(#state{member = undefined, cluster = Cluster, storage = Storage}) ->
    #{cluster => Cluster, id => 0, address => <<>>, running => false, members => [],
      joined => true, forming => false, storage => Storage};
description(#state{member = Member, cluster = Cluster, former = Former} = State) ->
    #{id := Id, address := Address, joined := Joined, members := Members} = status(Member),
    #{cluster => Cluster, id => Id, address => Address, running => true,
      members => [binary_to_atom(Name) || {_Id, Name, _Address, _Standing} <- Members],
      joined => Joined, forming => Former =/= undefined, storage => State#state.storage}.

%% Only this process stops the member, so it has a status.
status(Member) ->
    {ok, Status} = ram_nif:member_status(Member),
    Status.

%% A member whose port changed while others were away: they learn it here, or when it connects.
tell_address(_Nodes, #state{member = undefined}) ->
    ok;
tell_address(Nodes, #state{member = Member, cluster = Cluster}) ->
    #{id := Id, address := Address} = status(Member),
    abcast = gen_server:abcast(Nodes, ?MODULE, {address, Cluster, Id, Address}),
    ok.
